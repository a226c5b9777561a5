-- What happened to a shipment? It was packed, departed, arrived and was delivered, and in between are its readings, each
-- with a mark where it is out of the product's range. Times are UTC.
WITH known AS (
    SELECT s.*, p.min_c, p.max_c
    FROM lake.bronze.shipments AS s
    JOIN lake.bronze.products AS p ON p.product_id = s.product_id
),
milestones AS (
    SELECT k.shipment_id, k.logger_id, k.product_id, k.lot, m.at, m.what, k.min_c, k.max_c
    FROM known AS k
    CROSS JOIN UNNEST(
        ARRAY['packed', 'departed', 'arrived', IF(k.cancelled, 'returned', 'delivered')],
        ARRAY[k.packed_at, k.departed_at, k.arrived_at, k.delivered_at]
    ) AS m (what, at)
    WHERE m.at IS NOT NULL
)
SELECT
    k.shipment_id,
    k.lot,
    k.product_id,
    r.measured_at AS at,
    CASE
        WHEN r.temperature_c < k.min_c THEN 'below range'
        WHEN r.temperature_c > k.max_c THEN 'above range'
        ELSE 'in range'
    END AS what,
    r.temperature_c,
    k.min_c,
    k.max_c,
    r.gateway_id AS seen_by,
    r.clock_ahead
FROM lake.silver.readings AS r
JOIN known AS k ON k.logger_id = r.logger_id
UNION ALL
SELECT shipment_id, lot, product_id, at, what, NULL, min_c, max_c, NULL, NULL
FROM milestones
