"""Actions that several screens share: prompt, confirm, act, report. Each is one module; none imports the app."""
