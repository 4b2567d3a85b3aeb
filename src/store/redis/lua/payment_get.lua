-- A payment.
-- ARGV: merchant, number
-- Returns its versioned record or nil.
local merchant, number = take(), num()
return has_merchant(merchant) and redis.call('HGET', payment_key(merchant, number), 'p')
