-- Removes an old event with its deliveries and attempts, unless one of them waits, or the payment's records are other
-- than when it was decided. The event goes last, when all its deliveries may go in this call.
-- ARGV: merchant, number, count of the payment's fields, event's id (16 bytes), how many records may go, ids of its
--       deliveries…
-- Returns how many records went.
local merchant, number, fields, event, most = take(), num(), num(), take(), num()
local payment, first, gone = payment_key(merchant, number), at, 0
if redis.call('HLEN', payment) ~= fields then
  return 0
end
while at < #ARGV do
  if redis.call('HEXISTS', key('w'), 'd' .. take()) == 1 then
    return 0
  end
end
at = first
while at < #ARGV and gone < most do
  local id = take()
  redis.call('HDEL', payment, 'd' .. id, 'a' .. id)
  redis.call('ZREM', key('dx:' .. merchant), index_member(id, number))
  gone = gone + 1
end
if gone < most then
  redis.call('HDEL', payment, 'e' .. event)
  redis.call('ZREM', key('ex:' .. merchant), index_member(event, number))
  gone = gone + 1
end
return gone
