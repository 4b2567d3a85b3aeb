-- Keeps the answer for an idempotency key, or frees the key.
-- ARGV: key (16 bytes), status (0: free it), body
-- Returns 1.
local kept = first_answer()
if kept then
  return kept
end
local id, status, body = take(), num(), take()
local name = key('i:' .. id)
if status == 0 then
  redis.call('DEL', name)
  redis.call('ZREM', key('ii'), id)
elseif redis.call('EXISTS', name) == 1 then
  redis.call('HSET', name, 's', whole(status), 'b', body)
end
return remember(1)
