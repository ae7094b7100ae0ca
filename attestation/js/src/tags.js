// Domain tags: the first 8 bytes of what they name. Those of formats that are read here.

import { ascii } from './bytes.js';

export const TAGS = Object.freeze({
  CARD: ascii('ZQCARD1\0'),
  COMMIT: ascii('ZQSTEP1\0'),
  COMMITTEE: ascii('ZQCOMM1\0'),
  REQUEST: ascii('ZQRQST1\0'),
  // Of a line of text, which a wallet signs.
  SENTINEL: ascii('ZQSNTL1:'),
});
