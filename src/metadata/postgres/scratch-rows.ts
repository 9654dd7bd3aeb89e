/** SQL that fills an empty database with drives, and with all that belongs to them. */
export function fillSql({ drives, users = 500 }: { drives: number; users?: number }): string {
  return `
  insert into users select 'user' || n, null, 0, 0, null, null, 0, sha256(n::text::bytea) from generate_series(1, ${users}) n;
  insert into user_usage select user_id, 0, 0 from users where user_id like 'user%';
  insert into drives (drive_id, user_id, size_bytes, claim_type, cipher, tier, pool_name, state, readers, tags, attributes,
      created_at_ms)
    select md5(n::text)::uuid::text, 'user' || (n % ${users} + 1), 1, 'exclusive', 'none', 'disk', 'pool' || (n % 50),
      case when n % 500 = 0 then 'creating' else 'ready' end, '[]', '[]', '{}', 0
    from generate_series(1, ${drives}) n;
  insert into drive_counters select drive_id, 0, 0, 0, 0 from drives;
  insert into drive_readers select drive_id, 'user' || (ascii(drive_id) % 100 + 1) from drives;
  insert into drive_tags select drive_id, user_id, 'tag' || (ascii(drive_id) % 50) from drives;
  insert into drive_keys select drive_id, 'master', '\\x00', '\\x00' from drives;
  insert into claims select drive_id, 'server', 'rw', 1, sha256(drive_id::bytea), 0, 1, 1 from drives;
  insert into imaging_jobs (job_id, target_drive_id, source_drive_id, conversion, state, done_bytes, total_bytes,
      created_at_ms)
    select drive_id, drive_id, 's' || drive_id, 'plain', 'queued', 0, 0, 0 from drives;
  insert into avoided_drives select drive_id, lead(drive_id, 1, drive_id) over (order by drive_id) from drives;
  insert into drive_moves (drive_id, pool_name, state, done_bytes, total_bytes, created_at_ms)
    select drive_id, pool_name, 'queued', 0, 0, 0 from drives;
  insert into stray_volumes select pool_name, drive_id from drives;
  insert into idempotency_keys select user_id, drive_id, '\\x00', drive_id, 1000000 from drives;
`;
}
