-- An API token by its hash.
-- ARGV: hash
-- Returns `<hash>|<record>` or nil.
local id = redis.call('HGET', key('ah'), take())
return id and redis.call('HGET', key('at'), id)
