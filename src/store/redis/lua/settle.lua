-- Ends a lease with its result.
-- ARGV: work, token, end of the hold on its lane (empty: as it is; `lift`), its step, then of a delivery: merchant, number,
--       version it was loaded with, record, due or empty, attempt or empty, field of the endpoint's health, its field in
--       the configuration, and of a failed attempt its time, status or empty, and error, else three empty ones (an
--       attempt: a success; no field: it says nothing of the endpoint); of a job: record, milliseconds from now or empty; then merchant, count of counters: name, by…
-- Returns {'ok'}, {'lease'} (it was lost, or the work is done) or {'delivery'} (it has another version; the lease stays).
local ATTEMPTS_MAX = 100
local kept = first_answer()
if kept then
  return kept
end
local work, token, hold_ends, hold_step = take(), take(), take(), take()
local what = work_of(work)
if lease_of(work) ~= token or not what then
  return { 'lease' }
end

-- Attempts are one value: each with its length (4 bytes) before it, the oldest first.
local function appended(before, attempt)
  local all = before .. struct.pack('>I4', #attempt) .. attempt
  local starts, from = {}, 1
  while from < #all do
    starts[#starts + 1] = from
    from = from + 4 + struct.unpack('>I4', all, from)
  end
  if #starts > ATTEMPTS_MAX then
    all = string.sub(all, starts[#starts - ATTEMPTS_MAX + 1])
  end
  return all
end

-- `eh`: since when an endpoint fails | its last failure | status | how far its owner was told | error.
local function note_failure(merchant, endpoint, field, failed_at, status, error)
  if redis.call('HEXISTS', key('c:' .. merchant), endpoint) == 0 then
    return
  end
  local since, last, told = string.match(redis.call('HGET', key('eh'), field) or '', '^(%d+)|(%d+)|%d*|(%d+)|')
  if last and tonumber(last) > tonumber(failed_at) then
    failed_at = last
  end
  local head = (since or failed_at) .. '|' .. failed_at .. '|' .. status
  redis.call('HSET', key('eh'), field, head .. '|' .. (told or '0') .. '|' .. error)
end

local due
if string.sub(work, 1, 1) == 'd' then
  local merchant, number, loaded, record = take(), num(), num(), take()
  local payment = payment_key(merchant, number)
  if version_of(redis.call('HGET', payment, work)) ~= loaded then
    return { 'delivery' }
  end
  -- While Redis is out of memory a script may go on whose first write only frees some: what was sent must be settled
  -- even then, or it would be sent again and again.
  redis.call('HDEL', key('t'), work)
  due = tonumber(take())
  local attempt, changed = take(), whole(loaded + 1) .. ':' .. record
  if attempt ~= '' then
    local attempts = 'a' .. string.sub(work, 2)
    -- One that never changed was never tried.
    local before = loaded > 1 and redis.call('HGET', payment, attempts) or ''
    redis.call('HSET', payment, work, changed, attempts, appended(before, attempt))
  else
    redis.call('HSET', payment, work, changed)
  end
  local field, endpoint, failed_at, status, error = take(), take(), take(), take(), take()
  if failed_at ~= '' then
    note_failure(merchant, endpoint, field, failed_at, status, error)
  elseif attempt ~= '' and field ~= '' then
    redis.call('HDEL', key('eh'), field)
  end
else
  local record = take()
  redis.call('HDEL', key('t'), work)
  redis.call('HSET', key('w'), work, cmsgpack.pack({ what[1], what[2], what[3], record, what[5] }))
  local again = tonumber(take())
  due = again and now + again
end
if due then
  dequeue(work, what[1])
  enqueue(work, what[1], due)
else
  forget_work(work, what, 'ended')
end
hold_lane(what[1], hold_ends, hold_step)
tally(take())
return remember({ 'ok' })
