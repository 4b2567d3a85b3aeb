-- Removes old notifications, but none that a job of the queue is about.
-- ARGV: merchant, then id (16 bytes), number, …
-- Returns how many went.
local merchant, gone = take(), 0
while at < #ARGV do
  local id, number = take(), num()
  if redis.call('HEXISTS', key('wn'), id) == 0 then
    gone = gone + redis.call('HDEL', payment_key(merchant, number), 'n' .. id)
    index_remove(key('nx:' .. merchant), id, number)
  end
end
return gone
