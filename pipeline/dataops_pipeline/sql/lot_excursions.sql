-- Which shipments of a lot were out of range, since when, for how long, and how long did it take to see it? One row for
-- each excursion. One that goes on has no end.
SELECT
    excursion_id,
    arbitrary(lot) AS lot,
    arbitrary(shipment_id) AS shipment_id,
    arbitrary(product_id) AS product_id,
    min(since) AS since,
    min(at) FILTER (WHERE event = 'opened') AS opened_at,
    max(at) FILTER (WHERE event = 'closed') AS closed_at,
    date_diff('minute', min(since), max(at)) AS minutes,
    max_by(temperature_c, greatest(temperature_c - max_c, min_c - temperature_c)) AS worst_seen_c,
    arbitrary(min_c) AS min_c,
    arbitrary(max_c) AS max_c,
    date_diff(
        'second',
        min(kafka_timestamp) FILTER (WHERE event = 'opened'),
        min(detected_at) FILTER (WHERE event = 'opened')
    ) AS seconds_to_detect
FROM lake.silver.excursions
GROUP BY excursion_id
