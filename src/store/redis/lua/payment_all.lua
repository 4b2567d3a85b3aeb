-- Everything that is kept with a payment.
-- ARGV: merchant, number
-- Returns field, value, …
local merchant, number = take(), num()
return has_merchant(merchant) and redis.call('HGETALL', payment_key(merchant, number)) or {}
