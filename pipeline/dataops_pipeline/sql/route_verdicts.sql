-- What became of the boxes on each route so far: how many may be released, and does the delay explain the rest?
SELECT
    origin,
    dest,
    count(*) AS shipments,
    count_if(verdict = 'release') AS release,
    count_if(verdict = 'investigate') AS investigate,
    count_if(verdict = 'reject') AS reject,
    round(avg(delay_minutes), 1) AS mean_delay_minutes,
    round(avg(delay_minutes) FILTER (WHERE verdict = 'reject'), 1) AS mean_delay_of_rejected,
    round(avg(minutes_out_of_range), 1) AS mean_minutes_out_of_range
FROM lake.gold.shipment_exposure
WHERE status = 'delivered'
GROUP BY origin, dest
ORDER BY reject DESC, shipments DESC, origin, dest
LIMIT 20
