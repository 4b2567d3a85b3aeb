-- All that is set up for a merchant.
-- ARGV: merchant
-- Returns the hash `c:<merchant>` as field, value, …; empty when there is no such merchant.
return redis.call('HGETALL', key('c:' .. take()))
