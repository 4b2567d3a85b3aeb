-- A page of records in the order of their ids.
-- ARGV: merchant, name of the index (`ex`, `dx`, `nx`), field's first letter, direction (`new`: newest first, `old`),
--       from which id on, itself excluded (16 bytes or empty), how many
-- Returns {id, number, record or nil}…
local merchant, index, letter, direction, from, count = take(), take(), take(), take(), take(), num()
if not has_merchant(merchant) then
  return {}
end
local members
if direction == 'new' then
  members = redis.call('ZREVRANGEBYLEX', key(index .. ':' .. merchant), from == '' and '+' or '(' .. from, '-', 'LIMIT', 0, count)
else
  local low = from == '' and '-' or '(' .. from .. '\255\255\255\255\255'
  members = redis.call('ZRANGEBYLEX', key(index .. ':' .. merchant), low, '+', 'LIMIT', 0, count)
end
local rows = {}
for _, member in ipairs(members) do
  local id, number = string.sub(member, 1, 16), struct.unpack('>I4', member, 17)
  rows[#rows + 1] = { id, number, redis.call('HGET', payment_key(merchant, number), letter .. id) }
end
return rows
