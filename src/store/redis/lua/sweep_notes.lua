-- Removes old notifications.
-- ARGV: merchant, then id (16 bytes), number, …
-- Returns how many went.
local merchant, gone = take(), 0
while at < #ARGV do
  local id, number = take(), num()
  gone = gone + redis.call('HDEL', payment_key(merchant, number), 'n' .. id)
  redis.call('ZREM', key('nx:' .. merchant), index_member(id, number))
end
return gone
