// A table that becomes a list of labelled values where the screen is narrow. The roles are written out, because
// changing `display` in style sheets takes a table's meaning away from screen readers.

import type { ComponentChildren } from "preact";

export interface Column<Row> {
  label: string;
  cell(row: Row): ComponentChildren;
  /** `main` leads the row; `lone` and `wide` have their own line on narrow screens; `number` is set to the right. */
  kind?: "main" | "main lone" | "wide" | "number" | "action";
}

interface DataTableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey(row: Row): string;
  testId?: string;
}

export function DataTable<Row>({ caption, columns, rows, rowKey, testId }: DataTableProps<Row>) {
  return (
    <div class="table-frame">
      <table class="table" role="table" aria-label={caption} data-testid={testId}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ label, kind }) => (
              <th key={label} role="columnheader" scope="col" class={kind}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={rowKey(row)} role="row" data-key={rowKey(row)}>
              {columns.map(({ label, kind, cell }) => (
                <td key={label} role="cell" class={kind} data-label={label}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
