-- Changes what is set up for a merchant, and the version with it.
-- ARGV: merchant, its id (16 bytes), expected version or empty, op (`create`, `merchant`, `put`, `del`, `gone`),
--       field, value, first payment's number
-- `c:<merchant>` holds version, first and last (payment numbers), m (the merchant), i:<id>, e:<id>.
-- Returns {'ok', version}, or {'config'} (another version), {'exists'}, {'leaving'} (it was
-- deleted and its records have not all gone), {'none'}.
-- A version is at least the time, so that after a failover that lost the last change another one does not get the number
-- of a version that some router has at hand.
local kept = first_answer()
if kept then
  return kept
end
local merchant, id, expected, op, field, value, first = take(), take(), take(), take(), take(), take(), num()
local config = key('c:' .. merchant)
local version = tonumber(redis.call('HGET', config, 'version') or nil)
if op == 'create' then
  if version then
    return { 'exists' }
  end
  if redis.call('SISMEMBER', key('gone'), merchant) == 1 then
    return { 'leaving' }
  end
  redis.call('HSET', config, 'version', whole(math.max(1, now)), 'first', first, 'm', value)
  redis.call('ZADD', key('ms'), 0, id .. merchant)
  return remember({ 'ok', math.max(1, now) })
end
if not version then
  return { 'none' }
end
if expected ~= '' and tonumber(expected) ~= version then
  return { 'config' }
end
-- An endpoint that is gone can't be spared any more: what waits for it goes on at once.
local function lift(endpoint)
  hold_lane('ep_' .. string.sub(endpoint, 3), 'lift', '')
end
if op == 'gone' then
  for _, at_field in ipairs(redis.call('HKEYS', config)) do
    if string.sub(at_field, 1, 2) == 'e:' then
      lift(at_field)
    end
  end
  redis.call('SADD', key('gone'), merchant)
  redis.call('ZREM', key('ms'), id .. merchant)
  local failing = redis.call('HGETALL', key('eh'))
  for at_field = 1, #failing, 2 do
    if string.sub(failing[at_field], 1, #merchant) == merchant then
      redis.call('HDEL', key('eh'), failing[at_field])
    end
  end
  redis.call('DEL', config, key('rp:' .. merchant), key('rx:' .. merchant))
elseif op == 'del' then
  if redis.call('HDEL', config, field) == 0 then
    return { 'none' }
  end
  redis.call('HDEL', key('eh'), merchant .. string.sub(field, 2))
  if string.sub(field, 1, 2) == 'e:' then
    lift(field)
  end
else
  redis.call('HSET', config, field, value)
  if op == 'merchant' then
    redis.call('HSET', config, 'first', first)
  end
end
local new = math.max(version + 1, now)
if op ~= 'gone' then
  redis.call('HSET', config, 'version', whole(new))
end
return remember({ 'ok', new })
