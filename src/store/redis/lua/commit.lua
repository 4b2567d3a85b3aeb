-- One atomic step of the money's path.
-- ARGV: merchant; version of the configuration or empty;
--       finished work and its token, or two empty ones;
--       question about payments that must not be there (see look_up() in the head);
--       payment: op (empty, `new`, `upd`), number, version it was loaded with, what stands behind the version, record,
--       count of links, links (16 bytes)…;
--       count of new deliveries of older events: number, event's id, own id…;
--       notification: id (16 bytes) or empty, number (empty: none; 0: the new payment's), record;
--       count of events: id, number, record…;
--       count of deliveries: id, lane, number, due or empty, `wait` when it is not to be leased, record…;
--       count of jobs: work, lane, milliseconds from now, record, what it is about: a notification's id, `#` and a
--       payment's number (0: the new one's), or empty…;
--       count of jobs that are not needed any more: work…;
--       owner and milliseconds of the new deliveries' lease, or two empty ones;
--       count of counters: name, by…
-- Returns {'ok', now, number, version, lease's end, due and token of each delivery, '' when it is not leased}, or the
-- conflict: {'config'}, {'lease'}, {'payment'}, {'payment_exists'}, {'none'} (no such merchant),
-- {'no_event'}, {'exists'} (a delivery of an older event), {'full'}, {'found', version of the configuration, what look_up() adds}.
local NUMBER_MAX, DAY, CHUNK = 2147483647, 86400000, 256
local kept = first_answer()
if kept then
  return kept
end
local merchant, expected, finished, token = take(), take(), take(), take()
local config = key('c:' .. merchant)
local known = redis.call('HMGET', config, 'version', 'first', 'last')
local version = tonumber(known[1] or 0)
if expected ~= '' and tonumber(expected) ~= version then
  return { 'config' }
end
if version == 0 then
  return { 'none' }
end
local finished_work
if finished ~= '' then
  if lease_of(finished) ~= token then
    return { 'lease' }
  end
  finished_work = work_of(finished)
end

local there = { 'found', version }
local found, free = look_up(merchant, there)
if found then
  return there
end
local links = key('l:' .. merchant)
local op, number, loaded, mark, record, link_count = take(), num(), num(), take(), take(), num()
local new_links = {}
for _ = 1, link_count do
  new_links[#new_links + 1] = take()
end
if op == 'new' then
  for _, link in ipairs(new_links) do
    if not free[link] and redis.call('HEXISTS', links, link) == 1 then
      return { 'payment_exists' }
    end
  end
  number = math.max(tonumber(known[2]), tonumber(known[3] or 0) + 1)
  if number > NUMBER_MAX then
    return { 'full' }
  end
elseif op == 'upd' then
  local has = version_of(redis.call('HGET', payment_key(merchant, number), 'p'))
  if has ~= loaded then
    return { 'payment' }
  end
  for _, link in ipairs(new_links) do
    local holder = tonumber(redis.call('HGET', links, link) or nil)
    if holder and holder ~= number then
      return { 'payment_exists' }
    end
  end
end
for _ = 1, num() do
  local payment, event, delivery = payment_key(merchant, num()), take(), take()
  if redis.call('HEXISTS', payment, 'e' .. event) == 0 then
    return { 'no_event' }
  end
  if redis.call('HEXISTS', payment, 'd' .. delivery) == 1 then
    return { 'exists' }
  end
end

-- From here on everything is written.
local function real(n)
  if n == 0 and op ~= '' then
    return number
  end
  return n
end

-- Fields of the payment of this commit, many of them written with one command.
local FIELDS_AT_ONCE, fields = 500, {}
local function flush()
  if fields[1] then
    redis.call('HSET', payment_key(merchant, number), unpack(fields))
    fields = {}
  end
end
local function put(n, field, value)
  if n == number and op ~= '' then
    fields[#fields + 1] = field
    fields[#fields + 1] = value
    if #fields >= 2 * FIELDS_AT_ONCE then
      flush()
    end
  else
    redis.call('HSET', payment_key(merchant, n), field, value)
  end
end

if op ~= '' then
  put(number, 'p', whole(loaded + 1) .. mark .. record)
  if op == 'new' then
    redis.call('HSET', config, 'last', whole(number))
    local chunk = whole(math.floor(number / CHUNK))
    if redis.call('HINCRBY', key('pc:' .. merchant), chunk, '1') == 1 then
      redis.call('ZADD', key('px:' .. merchant), chunk, chunk)
    end
  end
  local added = ''
  for _, link in ipairs(new_links) do
    if redis.call('HSETNX', links, link, whole(number)) == 1 then
      added = added .. link
    end
  end
  if added ~= '' then
    local before = op == 'upd' and redis.call('HGET', payment_key(merchant, number), 'l') or ''
    put(number, 'l', before .. added)
  end
end

local note, note_number, note_record = take(), take(), take()
if note ~= '' then
  local index, field = key('nx:' .. merchant), 'n' .. note
  local n = note_number == '' and 0 or real(tonumber(note_number))
  -- One that is changed comes with the end of a job, or with nothing of a payment; any other is new.
  local old = (finished ~= '' or op == '') and index_find(index, note)
  if old and old ~= n then
    index_remove(index, note, old)
    redis.call('HDEL', payment_key(merchant, old), field)
  end
  put(n, field, note_record)
  if old ~= n then
    index_add(index, note, n)
  end
end

for _ = 1, num() do
  local id, n, event = take(), real(num()), take()
  put(n, 'e' .. id, event)
  index_add(key('ex:' .. merchant), id, n)
end

local deliveries = {}
for _ = 1, num() do
  local id, lane, n, due, waits, delivery = take(), take(), real(num()), tonumber(take()), take(), take()
  local work = 'd' .. id
  put(n, work, '1:' .. delivery)
  index_add(key('dx:' .. merchant), id, n)
  if due then
    if due > now and due <= now + DAY then
      due = now
    end
    redis.call('HSET', key('w'), work, cmsgpack.pack({ lane, merchant, n }))
    deliveries[#deliveries + 1] = { work, lane, due, waits == 'wait' or held_until(lane) ~= nil }
  else
    deliveries[#deliveries + 1] = false
  end
end

flush()

for _ = 1, num() do
  local work, lane, delay, job, about = take(), take(), num(), take(), take()
  local what = { lane, merchant, op ~= '' and number or 0, job }
  -- A job whose id follows from what it is about may be there already.
  if redis.call('HEXISTS', key('w'), work) == 0 then
    if #about == 16 then
      what[5] = about
      redis.call('HSET', key('wn'), about, work)
    elseif about ~= '' then
      what[5] = about_payment(merchant, real(tonumber(string.sub(about, 2))))
      redis.call('HINCRBY', key('wn'), what[5], 1)
    end
    redis.call('HSET', key('w'), work, cmsgpack.pack(what))
    enqueue(work, lane, now + delay)
  end
end

for _ = 1, num() do
  local work = take()
  local what = work_of(work)
  if what and what[2] == merchant and not redis.call('ZSCORE', key('z'), work) then
    forget_work(work, what)
  end
end

if finished_work then
  forget_work(finished, finished_work)
end

local owner, lease_ms = take(), tonumber(take())
local reply = { 'ok', now, number, loaded + 1, lease_ms and now + lease_ms or 0 }
for _, d in ipairs(deliveries) do
  if d and lease_ms and d[3] <= now and not d[4] then
    reply[#reply + 1] = d[3]
    reply[#reply + 1] = lease_new(d[1], d[3], owner, now + lease_ms)
  else
    if d then
      enqueue(d[1], d[2], d[3])
    end
    reply[#reply + 1] = 0
    reply[#reply + 1] = ''
  end
end
tally(merchant)
return remember(reply)
