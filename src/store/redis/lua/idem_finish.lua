-- Keeps the answer for an idempotency key, or frees the key. An answer that was given stays.
-- ARGV: key (16 bytes), status (0: free it), body
-- Returns 1.
local kept = first_answer()
if kept then
  return kept
end
local id, status, body = take(), num(), take()
local name = key('i:' .. id)
local has = redis.call('HMGET', name, 'f', 's')
if has[2] then
  return 1
end
if status == 0 then
  redis.call('DEL', name)
  redis.call('ZREM', key('ii'), id)
elseif has[1] then
  redis.call('HSET', name, 's', whole(status), 'b', body)
end
return remember(1)
