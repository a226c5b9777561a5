-- Where do the stream and the logger's own memory disagree, or has nobody measured? One row for each such shipment.
-- `unexplained` readings are in neither, as of a logger that has died.
SELECT
    r.shipment_id,
    s.lot,
    s.product_id,
    r.dump_readings,
    r.stream_readings,
    r.missing AS missing_in_stream,
    r.extra AS only_in_stream,
    r.different,
    r.filled AS filled_from_dump,
    r.no_reading,
    r.longest_gap_minutes,
    r.expected_readings - r.dump_readings AS unexplained,
    r.reconciled_at,
    r.dump_path
FROM lake.silver.reconciliation AS r
JOIN lake.bronze.shipments AS s ON s.shipment_id = r.shipment_id
WHERE r.missing > r.filled OR r.extra > 0 OR r.different > 0 OR r.longest_gap_minutes >= 30
    OR r.expected_readings > r.dump_readings
