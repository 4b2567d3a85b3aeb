-- Removes an old event with its deliveries and attempts, unless one of them waits, or the payment's records are other
-- than when it was decided.
-- ARGV: merchant, number, count of the payment's fields, event's id (16 bytes), ids of its deliveries…
-- Returns how many records went: 0 or 1.
local merchant, number, fields, event = take(), num(), num(), take()
local payment, first = payment_key(merchant, number), at
if redis.call('HLEN', payment) ~= fields then
  return 0
end
while at < #ARGV do
  if redis.call('HEXISTS', key('w'), 'd' .. take()) == 1 then
    return 0
  end
end
at = first
while at < #ARGV do
  local id = take()
  redis.call('HDEL', payment, 'd' .. id, 'a' .. id)
  redis.call('ZREM', key('dx:' .. merchant), index_member(id, number))
end
redis.call('HDEL', payment, 'e' .. event)
redis.call('ZREM', key('ex:' .. merchant), index_member(event, number))
return 1
