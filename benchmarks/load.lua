-- One request of wrk, described by the environment, and the outcome as one line of JSON.
-- BENCH_PATH may hold {n}: requests then go through 1 .. BENCH_COUNT in turn.

local requests = {}
local turn = 0

function init(_)
  local headers = {}
  if os.getenv("BENCH_TOKEN") ~= "" then
    headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
  end
  local body = os.getenv("BENCH_BODY")
  if body == "" then
    body = nil
  else
    headers["Content-Type"] = "application/json"
  end
  for n = 1, tonumber(os.getenv("BENCH_COUNT")) do
    local path = string.gsub(os.getenv("BENCH_PATH"), "{n}", tostring(n))
    requests[n] = wrk.format(os.getenv("BENCH_METHOD"), path, headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local failed = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50.0), latency:percentile(99.0),
    failed.status, failed.connect + failed.read + failed.write + failed.timeout
  ))
end
