-- Counters of some hours.
-- ARGV: merchant, from (Unix milliseconds), to (excluded), hours at the most
-- Returns {hour, {name, value, …}}…
local merchant, from, to, count = take(), take(), take(), num()
local rows = {}
if not has_merchant(merchant) then
  return rows
end
local hours = redis.call('ZRANGEBYSCORE', key('th:' .. merchant), from, '(' .. to, 'LIMIT', 0, count)
for _, hour in ipairs(hours) do
  rows[#rows + 1] = { hour, redis.call('HGETALL', key('t:' .. merchant .. ':' .. hour)) }
end
return rows
