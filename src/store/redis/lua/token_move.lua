-- Gives a token's entry to another owner, if it still has the one that turned out to be left over.
-- ARGV: hash, left-over owner, new owner
-- Returns 1 when it was given, else 0.
local hash, old, new = take(), take(), take()
local has = redis.call('HGET', key('tk'), hash)
if has and has ~= old and has ~= new then
  return 0
end
redis.call('HSET', key('tk'), hash, new)
return 1
