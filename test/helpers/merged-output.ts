/** What several processes have written, in the order of the times in their logs. */
export function mergedOutput(outputs: readonly string[]): string {
  const lines = outputs.flatMap(timedLines);
  return lines
    .toSorted((one, other) => (one.time < other.time ? -1 : Number(one.time > other.time)))
    .map(({ line }) => line)
    .join('\n');
}

/** What is no line of the log belongs to the one before it. */
function timedLines(output: string): readonly { readonly time: string; readonly line: string }[] {
  let time = '';
  return output.split('\n').map((line) => {
    time = /"time":"([^"]+)"/.exec(line)?.[1] ?? time;
    return { time, line };
  });
}
