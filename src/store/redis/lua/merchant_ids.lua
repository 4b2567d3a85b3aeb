-- Merchants of the partition in the order of their ids, for upkeep.
-- ARGV: after (16 bytes or empty), how many
-- Returns id (16 bytes), …
local after, count = take(), num()
local low = after == '' and '-' or '(' .. after .. '\255'
local ids = {}
for _, member in ipairs(redis.call('ZRANGEBYLEX', key('ms'), low, '+', 'LIMIT', 0, count)) do
  ids[#ids + 1] = string.sub(member, 1, 16)
end
return ids
