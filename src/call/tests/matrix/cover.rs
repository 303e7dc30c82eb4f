//! A few rows in which values of any two columns, or any three, stand together at least once: most defects of interworking need two
//! properties that meet, and nearly all others a third one (a covering array, built greedily).

use ringfort_base::entropy::Seeded;
use std::collections::BTreeSet;

/// An index of a value for each column.
pub type Row = Vec<usize>;

/// Columns and values that stand together, one octet for each: the column above the value.
type Tuple = u64;

/// Rows tried for each that is taken.
const TRIES: usize = 24;

/// Every choice of so many columns, in rising order.
fn choices(columns: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let with = |at: usize| {
        let rest = choices(&columns[at + 1..], size - 1);
        rest.into_iter().map(move |mut rest| {
            rest.insert(0, columns[at]);
            rest
        })
    };
    (0..columns.len()).flat_map(with).collect()
}

fn tuple(columns: &[usize], value: impl Fn(usize) -> usize) -> Tuple {
    columns.iter().fold(0, |tuple, column| tuple << 8 | (*column as u64) << 4 | value(*column) as u64)
}

fn tuples_of(row: &Row, strength: usize) -> Vec<Tuple> {
    let columns: Vec<usize> = (0..row.len()).collect();
    choices(&columns, strength).iter().map(|columns| tuple(columns, |column| row[column])).collect()
}

/// Every tuple that stands in some row.
fn every_tuple(sizes: &[usize], strength: usize) -> BTreeSet<Tuple> {
    let columns: Vec<usize> = (0..sizes.len()).collect();
    let mut all = BTreeSet::new();
    for columns in choices(&columns, strength) {
        let mut values = vec![0; sizes.len()];
        let product: usize = columns.iter().map(|column| sizes[*column]).product();
        for mut n in 0..product {
            for column in &columns {
                values[*column] = n % sizes[*column];
                n /= sizes[*column];
            }
            all.insert(tuple(&columns, |column| values[column]));
        }
    }
    all
}

/// The rows, the same ones each time. A tuple that no sound row can hold is left out.
pub fn rows(sizes: &[usize], strength: usize, is_sound: impl Fn(&Row) -> bool) -> Vec<Row> {
    let (mut open, mut rows, mut random) = (every_tuple(sizes, strength), Vec::new(), Seeded::new(12));
    while let Some(first) = open.first().copied() {
        let mut best: (usize, Row) = (0, Vec::new());
        for _ in 0..TRIES {
            let row = grown(sizes, strength, first, &open, &mut random);
            let gain = tuples_of(&row, strength).iter().filter(|tuple| open.contains(tuple)).count();
            if gain > best.0 && is_sound(&row) {
                best = (gain, row);
            }
        }
        open.remove(&first);
        for tuple in tuples_of(&best.1, strength) {
            open.remove(&tuple);
        }
        rows.extend(Some(best.1).filter(|row| !row.is_empty()));
    }
    rows
}

/// A row that holds this tuple, its other columns in random order, each with the value that closes most.
fn grown(sizes: &[usize], strength: usize, first: Tuple, open: &BTreeSet<Tuple>, random: &mut Seeded) -> Row {
    let mut cells: Vec<Option<usize>> = vec![None; sizes.len()];
    for octet in first.to_be_bytes().into_iter().skip(8 - strength) {
        cells[usize::from(octet >> 4)] = Some(usize::from(octet & 15));
    }
    let mut columns: Vec<usize> = (0..sizes.len()).filter(|column| cells[*column].is_none()).collect();
    while !columns.is_empty() {
        let column = columns.swap_remove(random.below(columns.len() as u64) as usize);
        let filled: Vec<usize> = (0..sizes.len()).filter(|other| cells[*other].is_some()).collect();
        let mut met = choices(&filled, strength - 1);
        met.iter_mut().for_each(|columns| {
            columns.push(column);
            columns.sort_unstable();
        });
        let gain = |value: usize| {
            let of = |at: usize| if at == column { value } else { cells[at].unwrap_or(0) };
            met.iter().filter(|columns| open.contains(&tuple(columns, of))).count()
        };
        let begin = random.below(sizes[column] as u64) as usize;
        let values = (0..sizes[column]).map(|n| (n + begin) % sizes[column]);
        cells[column] = values.max_by_key(|value| gain(*value));
    }
    cells.into_iter().flatten().collect()
}

#[test]
fn each_tuple_stands_in_a_row() {
    let sizes = [3, 4, 2, 5];
    for (strength, most) in [(2, 26), (3, 80)] {
        let rows = rows(&sizes, strength, |_| true);
        let met: BTreeSet<Tuple> = rows.iter().flat_map(|row| tuples_of(row, strength)).collect();
        assert_eq!(met, every_tuple(&sizes, strength));
        assert!(rows.len() <= most, "{}", rows.len());
    }
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let rows = rows(&[2, 2, 2], 2, |row| row[0] != 1 || row[1] != 1);
    assert!(rows.iter().all(|row| row[0] != 1 || row[1] != 1) && rows.iter().any(|row| row[0] == 1));
}
