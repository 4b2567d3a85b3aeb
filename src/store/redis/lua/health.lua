-- Changes what is known of a failing endpoint.
-- ARGV: its field, since when it fails, the stage that its owner was told of; both empty: nothing is held against it.
-- Returns 1.
local kept = first_answer()
if kept then
  return kept
end
local field, since, stage = take(), take(), take()
if since == '' then
  redis.call('HDEL', key('eh'), field)
else
  local health = redis.call('HGET', key('eh'), field)
  local from, middle, told, error = string.match(health or '', '^(%d+)(|%d+|%d*|)(%d+)(|.*)$')
  if from == since and tonumber(told) < tonumber(stage) then
    redis.call('HSET', key('eh'), field, from .. middle .. stage .. error)
  end
end
return remember(1)
