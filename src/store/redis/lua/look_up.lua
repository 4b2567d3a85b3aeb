-- Payments that a notification may be about.
-- ARGV: merchant, question (see look_up() in the head)
-- Returns {version of the configuration (0: none), what look_up() adds}.
local merchant = take()
local reply = { tonumber(redis.call('HGET', key('c:' .. merchant), 'version') or 0) }
look_up(merchant, reply)
return reply
