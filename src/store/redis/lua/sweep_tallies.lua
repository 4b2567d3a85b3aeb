-- Removes counters of old hours.
-- ARGV: merchant, cutoff (Unix milliseconds), hours at the most
-- Returns how many hours went.
local merchant, cutoff, count = take(), take(), num()
local hours = redis.call('ZRANGEBYSCORE', key('th:' .. merchant), '-inf', '(' .. cutoff, 'LIMIT', 0, count)
for _, hour in ipairs(hours) do
  redis.call('DEL', key('t:' .. merchant .. ':' .. hour))
  redis.call('ZREM', key('th:' .. merchant), hour)
end
return #hours
