import { writeFileSync } from 'node:fs';
import { renderOpenApi } from '../src/http/openapi.ts';

writeFileSync(new URL('../docs/api/openapi.json', import.meta.url), renderOpenApi());
