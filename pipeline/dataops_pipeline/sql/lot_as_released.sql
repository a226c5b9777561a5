-- saved query: put your lot in the place of L1820 and l1820
-- What did we know when lot L1820 was released? Each shipment as it was assessed then, by the tag that the release left,
-- beside what is known today: late readings may have changed it since.
SELECT
    l.lot,
    l.released_at,
    l.snapshot_id,
    t.shipment_id,
    t.status AS status_then,
    t.verdict AS verdict_then,
    t.reason AS reason_then,
    t.minutes_without_evidence AS minutes_without_evidence_then,
    t.readings AS readings_then,
    n.verdict AS verdict_now,
    n.reason AS reason_now,
    n.readings AS readings_now,
    n.verdict IS DISTINCT FROM t.verdict AS changed
FROM lake.gold.shipment_exposure FOR VERSION AS OF 'lot_l1820' AS t
JOIN lake.gold.lot_releases AS l ON l.lot = t.lot
LEFT JOIN lake.gold.shipment_exposure AS n ON n.shipment_id = t.shipment_id
WHERE t.lot = 'L1820'
ORDER BY t.shipment_id
