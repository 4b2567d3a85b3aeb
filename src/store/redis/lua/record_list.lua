-- A page of records in the order of their ids.
-- ARGV: merchant, name of the index (`ex`, `dx`, `nx`), field's first letter, direction (`new`: newest first, `old`),
--       from which id on, itself excluded (16 bytes or empty), how many
-- Returns {id, number, record or nil, of a notification the event that its record leans on}…
local merchant, index, letter, direction, from, count = take(), take(), take(), take(), take(), num()
if not has_merchant(merchant) then
  return {}
end
local rows = {}
for _, member in ipairs(index_page(key(index .. ':' .. merchant), direction, from, count)) do
  local id, number = string.sub(member, 1, 16), struct.unpack('>I4', member, 17)
  local payment = payment_key(merchant, number)
  local record = redis.call('HGET', payment, letter .. id)
  rows[#rows + 1] = { id, number, record, letter == 'n' and leaned_on(payment, record) or '' }
end
return rows
