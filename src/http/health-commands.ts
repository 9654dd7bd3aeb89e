import type { Registry } from 'prom-client';
import { DriveError } from '../core/errors.ts';
import type { Answer } from './answers.ts';
import type { Command, CommandCall } from './command.ts';
import { NO_INPUT } from './drive-commands.ts';
import { JSON_TYPE, TEXT_TYPE } from './rendering.ts';

const OPEN = {
  method: 'GET',
  access: 'anyone',
  parameters: [],
  input: NO_INPUT,
  output: 'document',
} as const;

/** The commands that need no credentials: monitors and load balancers have none. */
export function healthCommands(metrics: Registry, isClosing: () => boolean): readonly Command[] {
  return [
    {
      ...OPEN,
      path: '/healthz',
      summary: 'Whether the process answers at all.',
      run: async (call) => status(call, 'ok'),
    },
    {
      ...OPEN,
      path: '/readyz',
      summary: 'Whether Drivebay can serve: 200, or 503 with the reason.',
      run: async (call) => {
        if (isClosing()) throw new DriveError('system', 'Drivebay is shutting down.');
        await call.service.health.checkReady();
        return status(call, 'ready');
      },
    },
    {
      ...OPEN,
      path: '/metrics',
      summary: 'Metrics in the format of Prometheus.',
      run: async () => ({
        kind: 'document',
        contentType: metrics.contentType,
        body: await metrics.metrics(),
      }),
    },
  ];
}

function status(call: CommandCall, word: string): Answer {
  return call.exchange.isJson
    ? { kind: 'document', contentType: JSON_TYPE, body: JSON.stringify({ status: word }) }
    : { kind: 'document', contentType: TEXT_TYPE, body: `${word}\n` };
}
