-- Removes old idempotency keys.
-- ARGV: cutoff (Unix milliseconds), how many at the most
-- Returns how many went.
local cutoff, count = take(), num()
local ids = redis.call('ZRANGEBYSCORE', key('ii'), '-inf', '(' .. cutoff, 'LIMIT', 0, count)
for _, id in ipairs(ids) do
  redis.call('DEL', key('i:' .. id))
  redis.call('ZREM', key('ii'), id)
end
return #ids
