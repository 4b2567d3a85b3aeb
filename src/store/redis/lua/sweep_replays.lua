-- Removes old bulk replays, unless they changed meanwhile.
-- ARGV: how many at the most, merchant, then id (16 bytes), version, …
-- Returns how many went.
local max, merchant, gone = num(), take(), 0
while at < #ARGV and gone < max do
  local id, version = take(), num()
  if version_of(redis.call('HGET', key('rp:' .. merchant), id)) == version then
    redis.call('HDEL', key('rp:' .. merchant), id)
    redis.call('ZREM', key('rx:' .. merchant), id)
    gone = gone + 1
  end
end
return gone
