import { describe, expect, test } from 'vitest';
import { databaseUrlKind } from './database-url.ts';

const parse = (text: string) => databaseUrlKind.parse(text, { directory: '/', isPublic: false });

describe('the URL of a database', () => {
  test.each([
    ['postgres://ada@db.example.org/drives', { host: 'db.example.org', port: 5432, password: null }],
    [
      'postgresql://ada:s%40cret%2F@10.0.0.1:6432/drives',
      { host: '10.0.0.1', port: 6432, password: 's@cret/' },
    ],
    ['postgres://ada@[::1]/drives?sslmode=verify-full', { host: '::1', port: 5432, tlsMode: 'verify-full' }],
    ['postgres://ada@/drives?host=/run/postgresql', { host: '/run/postgresql', port: 5432 }],
    ['postgres://ada:x@/drives?host=/run/postgresql&sslmode=disable', { password: 'x', tlsMode: 'disable' }],
  ])('%s is understood', (text, expected) => {
    expect(parse(text)).toMatchObject({ user: 'ada', database: 'drives', ...expected });
  });

  test.each([
    '',
    'sqlite:///var/lib/drives',
    'postgres://db.example.org/drives',
    'postgres://ada@db.example.org',
    'postgres://ada@db.example.org/',
    'postgres://ada@/drives',
    'postgres://ada@db.example.org/drives?host=/run/postgresql',
    'postgres://ada@/drives?host=db.example.org',
    'postgres://ada@db.example.org/drives?sslmode=prefer',
    'postgres://ada@db.example.org/drives?sslmod=disable',
    'postgres://ada@db.example.org:port/drives',
    'postgres://ada:%zz@db.example.org/drives',
  ])('%j is refused', (text) => {
    expect(parse(text)).toBeNull();
  });
});
