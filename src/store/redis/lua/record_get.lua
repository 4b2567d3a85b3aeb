-- A record by its id.
-- ARGV: merchant, name of the index (`ex`, `dx`, `nx`), field's first letter, id (16 bytes), another field's first
--       letter or empty
-- Returns {number, record, the other field, of a notification the event that its record leans on} or nil.
local merchant, index, letter, id, other = take(), take(), take(), take(), take()
local number = has_merchant(merchant) and index_find(key(index .. ':' .. merchant), id)
if not number then
  return nil
end
local payment = payment_key(merchant, number)
local record = redis.call('HGET', payment, letter .. id)
if not record then
  return nil
end
return {
  number,
  record,
  other ~= '' and redis.call('HGET', payment, other .. id) or '',
  letter == 'n' and leaned_on(payment, record) or '',
}
