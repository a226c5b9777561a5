-- On which routes does a box stand longest on a hot apron? July and August 2013, from the real flights and weather only.
-- A box comes to the apron 45 minutes before the scheduled departure and stands there until the real one. A degree hour
-- is one hour at one degree above 8 °C, the upper end of a refrigerator's range. Routes with 50 departures or more.
WITH departures AS (
    SELECT
        row_number() OVER () AS departure,
        origin,
        dest,
        scheduled_departure - INTERVAL '45' MINUTE AS apron_from,
        departed_at AS apron_until,
        date_diff('minute', scheduled_departure, departed_at) AS delay_minutes
    FROM lake.bronze.flights
    WHERE departed_at > scheduled_departure - INTERVAL '45' MINUTE
        AND scheduled_departure >= TIMESTAMP '2013-07-01 00:00:00 UTC'
        AND scheduled_departure < TIMESTAMP '2013-09-01 00:00:00 UTC'
),
hours AS (
    SELECT
        d.*,
        w.temperature_c,
        date_diff('minute', greatest(d.apron_from, w.hour), least(d.apron_until, w.hour + INTERVAL '1' HOUR)) AS minutes
    FROM departures AS d
    JOIN lake.bronze.weather AS w
        ON w.origin = d.origin AND w.hour > d.apron_from - INTERVAL '1' HOUR AND w.hour < d.apron_until
),
aprons AS (
    SELECT
        departure,
        origin,
        dest,
        delay_minutes,
        max(temperature_c) AS hottest_c,
        sum(minutes * greatest(temperature_c - 8, 0)) / 60 AS degree_hours
    FROM hours
    GROUP BY departure, origin, dest, delay_minutes
)
SELECT
    origin,
    dest,
    count(*) AS departures,
    round(avg(delay_minutes), 1) AS mean_delay_minutes,
    round(avg(hottest_c), 1) AS mean_hottest_c,
    count_if(delay_minutes >= 60 AND hottest_c >= 30) AS late_and_hot,
    round(avg(degree_hours), 1) AS mean_degree_hours
FROM aprons
GROUP BY origin, dest
HAVING count(*) >= 50
ORDER BY mean_degree_hours DESC, origin, dest
LIMIT 10
