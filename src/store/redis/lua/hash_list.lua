-- A page of records, newest first: an index of ids (16 bytes) beside a hash of records.
-- ARGV: name of the index, name of the hash, before (16 bytes or empty), how many
-- Returns id, record, …
local index, hash, before, count = take(), take(), take(), num()
local ids = redis.call('ZREVRANGEBYLEX', key(index), before == '' and '+' or '(' .. before, '-', 'LIMIT', 0, count)
local rows = {}
for _, id in ipairs(ids) do
  rows[#rows + 1] = id
  rows[#rows + 1] = redis.call('HGET', key(hash), id)
end
return rows
