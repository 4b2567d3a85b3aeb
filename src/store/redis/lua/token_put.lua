-- Registers inbound tokens: `tk` finds the integration by a token's hash. Written before the configuration, and
-- believed only when the integration has the token too; so an entry that is left over does no harm.
-- ARGV: op (`put`, `del`), owner (`<merchant>|<integration>`), hashes…
-- Returns the hashes and present owners of those that another has (nothing is written for them).
local op, owner = take(), take()
local foreign = {}
while at < #ARGV do
  local hash = take()
  local has = redis.call('HGET', key('tk'), hash)
  if has and has ~= owner then
    foreign[#foreign + 1] = hash
    foreign[#foreign + 1] = has
  elseif op == 'put' then
    redis.call('HSET', key('tk'), hash, owner)
  else
    redis.call('HDEL', key('tk'), hash)
  end
end
return foreign
