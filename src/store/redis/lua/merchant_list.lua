-- Merchants, newest first.
-- ARGV: before (16 bytes or empty), how many
-- Returns id (16 bytes), record, …
local before, count = take(), num()
local ids = redis.call('ZREVRANGEBYLEX', key('ms'), before == '' and '+' or '(' .. before, '-', 'LIMIT', 0, count)
local rows = {}
for _, member in ipairs(ids) do
  rows[#rows + 1] = string.sub(member, 1, 16)
  rows[#rows + 1] = redis.call('HGET', key('c:' .. string.sub(member, 17)), 'm')
end
return rows
