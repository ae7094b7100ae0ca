// Every golden vector, and the number of them: whoever runs this compares it with its own count.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { files, judge } from './vectors.js';

for (const { name, path } of files) {
  test(`vectors ${name}`, async () => {
    const count = await judge(path);
    assert.ok(count > 0, `${name} holds no case`);
    console.log(`vectors ${name} ${count}`);
  });
}

test('there are vectors', () => assert.ok(files.length >= 12));
