select kind, count(*) as orders, max(kafka_timestamp) as kafka_timestamp
from {{ source('shop', 'orders') }}
group by kind
