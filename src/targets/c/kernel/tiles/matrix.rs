//! Matrix products, tile by tile.

use super::super::access::{count, unfold};
use super::super::index::linear;
use super::super::maker::{Maker, Outcome, Use};
use super::super::product::Matrices;
use super::factors::{Left, Right};
use super::{CODE_ROWS, COLUMNS, FLOAT_ROWS, Packing};
use crate::ir::ValueId;
use crate::ops::matmul::TRANSPOSE;
use crate::targets::c::text::C;
use crate::types::{Dim, Symbol};

/// Names of the indices of a product while it is looked at; no variable is called so.
const ROW: &str = "row#";
const COLUMN: &str = "column#";
const TERM: &str = "term#";
/// Products with fewer terms or columns are left to plain loops.
const FEWEST_TERMS: i64 = 8;
const FEWEST_COLUMNS: i64 = 4;
/// So few rows are multiplied with rows that are not packed.
const FEW_ROWS: i64 = 4;

/// How a factor lies in memory: its first element, and steps from there along rows (columns of the right factor) and terms.
#[derive(Clone)]
struct Lies {
    operand: ValueId,
    first: Dim,
    along: Dim,
    term: Dim,
}

/// A product by tiles.
struct Tiled<'a> {
    using: Use<'a>,
    left: Left<'a>,
    right: Right<'a>,
    /// Sizes of the axes that have a loop each, outside.
    outer: Vec<Dim>,
    /// Sizes of the axes that are the rows.
    lead: Vec<Dim>,
    rows: Dim,
    columns: Dim,
    terms: Dim,
}

impl Tiled<'_> {
    fn most_rows(&self) -> i64 {
        match self.right {
            Right::Codes(..) => CODE_ROWS,
            Right::Packed(..) | Right::Rows(_) | Right::Columns(_) => FLOAT_ROWS,
        }
    }

    /// Whether sums are of integers: those of groups with scales are not.
    fn sums_integers(&self) -> bool {
        matches!((&self.left, &self.right), (Left::Codes(..), Right::Codes(_, packing, _)) if packing.family() != "int4")
    }

    /// Rows are so few, or columns, that packing would cost more than it saves.
    fn takes_dots(&self) -> bool {
        matches!(self.right, Right::Rows(_)) && self.rows.as_const().is_some_and(|rows| rows < FEW_ROWS)
    }
}

impl<'a> Maker<'a> {
    /// Writes a product by tiles, if there are any for it.
    pub fn matrix_tiles(&mut self, using: Use<'a>, shape: &[Dim], results: &[usize]) -> Outcome<bool> {
        let Some(tiled) = self.tiled(using, shape)? else { return Ok(false) };
        // Every result has one element for each sum.
        let fits = self.probe(&tiled, |maker, at| {
            let product = using.inst.results[0];
            Ok(results.iter().all(|result| maker.place_of(maker.results[*result].value, product, at).is_some()))
        })?;
        if !fits {
            return Ok(false);
        }
        self.write_tiles(&tiled, results)?;
        Ok(true)
    }

    /// What kind of product it is.
    fn tiled(&mut self, using: Use<'a>, shape: &[Dim]) -> Outcome<Option<Tiled<'a>>> {
        let [a, b] = using.inst.operands[..] else { return Ok(None) };
        let (left_shape, right_shape) = (self.shape_of(a)?, self.shape_of(b)?);
        let transposed = TRANSPOSE.map(|flag| using.attrs.flag(flag));
        let (Some(left), Some(right)) = (self.left(a), self.right(b, transposed[1])) else { return Ok(None) };
        let is_matched = matches!(right, Right::Codes(..)) || matches!(left, Left::Floats(_));
        if right_shape.len() < 2 || !is_matched {
            return Ok(None);
        }
        let term_axis = left_shape.len().checked_sub(if transposed[0] { 2 } else { 1 });
        let terms = term_axis.and_then(|axis| left_shape.get(axis));
        let (Some((columns, lead)), Some(terms)) = (shape.split_last(), terms) else { return Ok(None) };
        let is_small = terms.as_const().is_some_and(|terms| terms < FEWEST_TERMS)
            || columns.as_const().is_some_and(|columns| columns < FEWEST_COLUMNS);
        if is_small {
            return Ok(None);
        }
        let whole = Tiled {
            using,
            left,
            right,
            outer: vec![],
            lead: lead.to_vec(),
            rows: count(lead),
            columns: columns.clone(),
            terms: terms.clone(),
        };
        if right_shape.len() == 2 && self.can_be_read(&whole)? {
            return Ok(Some(whole));
        }
        let Some((rows, outer)) = lead.split_last() else { return Ok(None) };
        let apart = Tiled { outer: outer.to_vec(), lead: vec![rows.clone()], rows: rows.clone(), ..whole };
        Ok(if self.can_be_read(&apart)? { Some(apart) } else { None })
    }

    /// Whether both factors lie in steps that the tiles can follow.
    fn can_be_read(&mut self, tiled: &Tiled<'a>) -> Outcome<bool> {
        let Some((left, right)) = self.probe(tiled, |maker, at| maker.factors(tiled, at))? else { return Ok(false) };
        let left_runs = left.term.is_const(1);
        Ok(match tiled.right {
            Right::Codes(..) => left_runs,
            Right::Packed(..) => true,
            Right::Rows(_) => right.is_some_and(|right| right.term.is_const(1)) && (left_runs || !tiled.takes_dots()),
            Right::Columns(_) => right.is_some_and(|right| right.along.is_const(1)),
        })
    }

    /// Looks at a product with names for its indices.
    fn probe<T>(&mut self, tiled: &Tiled<'a>, look: impl FnOnce(&mut Maker<'a>, &[Dim]) -> Outcome<T>) -> Outcome<T> {
        let names: Vec<Symbol> = (0..tiled.outer.len()).map(|axis| Symbol::new(&format!("outer{axis}#"))).collect();
        names.iter().zip(&tiled.outer).for_each(|(name, size)| self.ranges.open(name, size.clone()));
        let outer: Vec<Dim> = names.iter().map(|name| Dim::symbol(name.as_str())).collect();
        let found = self.with_indices(tiled, |maker| {
            let mut at = outer;
            at.extend(unfold(maker, &Dim::symbol(ROW), &tiled.lead));
            at.push(Dim::symbol(COLUMN));
            look(maker, &at)
        });
        names.iter().for_each(|name| self.ranges.close(name));
        found
    }

    fn with_indices<T>(&mut self, tiled: &Tiled<'a>, look: impl FnOnce(&mut Maker<'a>) -> T) -> T {
        let own = [(ROW, &tiled.rows), (COLUMN, &tiled.columns), (TERM, &tiled.terms)];
        own.iter().for_each(|(name, size)| self.ranges.open(&Symbol::new(name), (*size).clone()));
        let found = look(self);
        own.iter().for_each(|(name, _)| self.ranges.close(&Symbol::new(name)));
        found
    }

    /// How the factors lie, at an index of the product in which rows and columns are the names for them. The right one is
    /// not asked where it is packed.
    fn factors(&mut self, tiled: &Tiled<'a>, at: &[Dim]) -> Outcome<Option<(Lies, Option<Lies>)>> {
        let mut matrices = Matrices::of(self, tiled.using, at)?;
        matrices.at(&Dim::symbol(TERM));
        let Some(left) = self.lies(tiled.left.value(), &matrices.left, ROW) else { return Ok(None) };
        let right = match tiled.right {
            Right::Codes(..) | Right::Packed(..) => None,
            Right::Rows(value) | Right::Columns(value) => match self.lies(value, &matrices.right, COLUMN) {
                Some(right) => Some(right),
                None => return Ok(None),
            },
        };
        Ok(Some((left, right)))
    }

    fn lies(&self, value: ValueId, at: &[Dim], name: &str) -> Option<Lies> {
        let (operand, offset) = self.address(value, at)?;
        let plain =
            self.operand(operand).is_some_and(|own| own.held == super::super::Held::Plain && own.packing.is_none());
        let (along, term) = (linear(&offset, &Symbol::new(name))?, linear(&offset, &Symbol::new(TERM))?);
        let steps = along.mul(&Dim::symbol(name)).add(&term.mul(&Dim::symbol(TERM)));
        let first = offset.sub(&steps);
        let named = |dim: &Dim| dim.symbols().iter().any(|symbol| [ROW, COLUMN, TERM].contains(&symbol.as_str()));
        (plain && ![&first, &along, &term].into_iter().any(named)).then_some(Lies { operand, first, along, term })
    }

    /// A pointer into an operand.
    pub(super) fn pointer_to(&mut self, operand: ValueId, offset: &Dim) -> String {
        // What follows it is read, too, so the place must not be taken.
        self.reads.push((operand, Dim::constant(-1)));
        let name = self.operand(operand).map(|own| own.name.clone()).unwrap_or_default();
        match offset.is_const(0) {
            true => name,
            false => format!("{name} + {}", self.index(offset).text()),
        }
    }

    fn write_tiles(&mut self, tiled: &Tiled<'a>, results: &[usize]) -> Outcome<()> {
        self.nests += 1;
        let outer = self.loops(&tiled.outer);
        let sums = self.sums_of_rows(tiled, &outer.at)?;
        let scratch = match tiled.right {
            Right::Rows(_) if !tiled.takes_dots() => {
                let bytes = tiled.terms.scale(COLUMNS * 4);
                Some(self.scratch("float", "packed", &bytes))
            }
            _ => None,
        };
        // Blocks of columns.
        let packs_here = scratch.is_some();
        let (block, width) = self.blocks(&tiled.columns, !packs_here);
        let column = block.scale(COLUMNS);
        if let (Some(scratch), Right::Rows(_)) = (&scratch, tiled.right) {
            self.pack_here(tiled, &outer.at, &column, &width, scratch)?;
        }
        // Blocks of rows.
        let depth = self.depth();
        let is_shared = packs_here || block.is_const(0);
        let (first, rows, most) = self.row_blocks(&tiled.rows, tiled.most_rows(), is_shared);
        let ty = if tiled.sums_integers() { "int32_t" } else { "float" };
        let array = self.name("sum");
        self.line(format!("{ty} {array}[{most}][{COLUMNS}];"));
        self.call_tile(
            tiled,
            &outer.at,
            (&first, &rows),
            (&column, &width),
            (&array, sums.as_deref(), scratch.as_deref()),
        )?;
        let row = self.separate_loops(std::slice::from_ref(&rows));
        let depth_of_row = self.depth();
        let inner = self.separate_loops(std::slice::from_ref(&width));
        // A block is never wider, which divisions by the sizes of heads need to know.
        if let Some(symbol) = inner.at[0].as_symbol() {
            self.ranges.open(&symbol.clone(), Dim::constant(COLUMNS));
        }
        let number = match first.is_const(0) {
            true => row.at[0].clone(),
            false => {
                let number = self.index(&first.add(&row.at[0]));
                self.at_depth(depth_of_row, |maker| Ok(maker.index_variable("row", number, &tiled.rows)))?
            }
        };
        let mut at = outer.at.clone();
        at.extend(unfold(self, &number, &tiled.lead));
        at.push(column.add(&inner.at[0]));
        let (i, j) = (self.index(&row.at[0]).text(), self.index(&inner.at[0]));
        let sum = C::index(&format!("{array}[{i}]"), j);
        let value = self.sum_as_product(tiled, sum, &at, sums.as_deref(), &number)?;
        self.finish_tile(tiled.using, value, &at, results)?;
        self.close_loops(inner);
        self.close_loops(row);
        while self.depth() > depth {
            self.close();
        }
        self.close_loops(outer);
        Ok(())
    }

    /// What follows a product for one of its elements: those of all results.
    pub(super) fn finish_tile(&mut self, using: Use<'a>, value: C, at: &[Dim], results: &[usize]) -> Outcome<()> {
        let product = using.inst.results[0];
        let is_named = self.uses(product) > 1 && !value.is_place();
        let value = if is_named { self.constant(self.carrier_of(product), "t", value) } else { value };
        self.expect(product);
        self.note(product, at, value);
        let mut left = results.to_vec();
        while let Some(result) = left.first().copied() {
            let place = |maker: &Self, result: usize| maker.place_of(maker.results[result].value, product, at);
            let Some(own) = place(self, result) else { return Err(self.refuse("has no place for a result")) };
            let alike: Vec<usize> =
                left.iter().copied().filter(|other| place(self, *other).as_ref() == Some(&own)).collect();
            left.retain(|other| !alike.contains(other));
            self.store_all(&alike, &own)?;
        }
        Ok(())
    }

    /// A sum of a tile as an element of the product.
    fn sum_as_product(&mut self, tiled: &Tiled<'a>, sum: C, at: &[Dim], sums: Option<&str>, row: &Dim) -> Outcome<C> {
        let Right::Codes(_, packing, restored) = tiled.right else { return Ok(sum) };
        let mut value = sum;
        let by_row = restored.is_some_and(|own| own.scheme.axis.is_some());
        let column = if by_row { &at[at.len() - 1..] } else { &[] };
        if let (Some(zero), Some(sums), false) = (restored.and_then(|own| own.zero()), sums, packing.family() == "int4")
        {
            let zero = self.element(zero, column)?;
            let place = self.index(row);
            value = C::binary(value, "-", C::binary(zero, "*", C::index(sums, place)));
        }
        if tiled.sums_integers() && restored.is_some() {
            value = C::cast("float", value);
        }
        if let Left::Codes(_, Some(left)) = tiled.left {
            let place = if left.scheme.dynamic { &at[..at.len() - 1] } else { &[] };
            let scale = self.element(left.scale(), place)?;
            value = C::binary(value, "*", self.single(left.scale(), scale));
        }
        match restored {
            Some(own) if packing.family() != "int4" => {
                let scale = self.element(own.scale(), column)?;
                Ok(C::binary(value, "*", self.single(own.scale(), scale)))
            }
            _ => Ok(value),
        }
    }

    /// A scale as `float`.
    fn single(&self, scale: ValueId, value: C) -> C {
        if self.carrier_of(scale) == "double" { C::cast("float", value) } else { value }
    }

    /// Sums of each row of the left factor, or of each group of a row: what is taken away for codes with a zero point, or
    /// that are stored too large.
    fn sums_of_rows(&mut self, tiled: &Tiled<'a>, outer: &[Dim]) -> Outcome<Option<String>> {
        let Right::Codes(_, packing, restored) = tiled.right else { return Ok(None) };
        let is_float = matches!(tiled.left, Left::Floats(_));
        let has_zero = restored.is_some_and(|own| own.zero().is_some());
        if is_float && (!has_zero || packing.family() == "int4") {
            return Ok(None);
        }
        let group = match packing {
            Packing::Int4 { group, .. } => Dim::constant(group),
            _ => tiled.terms.clone(),
        };
        let groups = tiled.terms.floor_div(&group).unwrap_or_else(|| Dim::constant(1));
        let count = tiled.rows.mul(&groups);
        let ty = if is_float { "float" } else { "int32_t" };
        let sums = match count.is_const(1) {
            true => {
                let name = self.name("sums");
                self.line(format!("{ty} {name}[1];"));
                name
            }
            false => self.scratch(ty, "sums", &count.scale(4)),
        };
        let row = self.separate_loops(std::slice::from_ref(&tiled.rows));
        let Some((left, _)) = self.factors_at(tiled, outer)? else { return Err(self.refuse("lies in no known way")) };
        let from = self.pointer_to(left.operand, &left.first.add(&left.along.mul(&row.at[0])));
        let terms = self.index(&tiled.terms).text();
        if is_float {
            self.family("f32_rows");
            let to = self.index(&row.at[0]).text();
            self.line(format!("{sums}[{to}] = (float)f32_sum({from}, {terms});"));
        } else {
            self.family("activations");
            let (to, group) = (self.index(&row.at[0].mul(&groups)).text(), self.index(&group).text());
            let to = if to == "0" { sums.clone() } else { format!("{sums} + {to}") };
            self.line(format!("sum_groups_int8({from}, {terms}, {group}, {to});"));
        }
        self.close_loops(row);
        Ok(Some(sums))
    }

    /// How the factors lie under the outer loops that are open.
    fn factors_at(&mut self, tiled: &Tiled<'a>, outer: &[Dim]) -> Outcome<Option<(Lies, Option<Lies>)>> {
        let outer = outer.to_vec();
        self.with_indices(tiled, |maker| {
            let mut at = outer;
            at.extend(unfold(maker, &Dim::symbol(ROW), &tiled.lead));
            at.push(Dim::symbol(COLUMN));
            maker.factors(tiled, &at)
        })
    }

    /// Packs a block of rows of the right factor.
    fn pack_here(&mut self, tiled: &Tiled<'a>, outer: &[Dim], column: &Dim, width: &Dim, to: &str) -> Outcome<()> {
        let Some((_, Some(right))) = self.factors_at(tiled, outer)? else {
            return Err(self.refuse("lies in no known way"));
        };
        let from = self.pointer_to(right.operand, &right.first.add(&right.along.mul(column)));
        let (stride, width) = (self.index(&right.along).text(), self.index(width).text());
        let terms = self.index(&tiled.terms).text();
        self.line(format!("f32_pack({from}, {stride}, {width}, {terms}, {to});"));
        Ok(())
    }

    /// Opens the loop over blocks of columns, which threads may share: the number of a block, and how many columns it has.
    pub(super) fn blocks(&mut self, columns: &Dim, is_shared: bool) -> (Dim, Dim) {
        let known = columns.as_const();
        if let Some(columns) = known.filter(|columns| *columns <= COLUMNS) {
            return (Dim::zero(), Dim::constant(columns));
        }
        if is_shared {
            self.shared_loop();
        }
        self.open("");
        let block = self.name("block");
        let bound = match known {
            Some(columns) => format!("{block} < {}", (columns + COLUMNS - 1) / COLUMNS),
            None => {
                let columns = self.index(&columns.add(&Dim::constant(COLUMNS - 1)));
                format!("{block} < {}", C::binary(columns, "/", C::atom(COLUMNS.to_string())).text())
            }
        };
        self.take_head(format!("for (int64_t {block} = 0; {bound}; {block}++)"));
        let symbol = Symbol::new(&block);
        let blocks = columns.ceil_div(&Dim::constant(COLUMNS)).unwrap_or_else(|| columns.clone());
        self.ranges.open(&symbol, blocks);
        let block = Dim::symbol(&block);
        if known.is_some_and(|columns| columns % COLUMNS == 0) {
            return (block, Dim::constant(COLUMNS));
        }
        let rest = self.index(&columns.sub(&block.scale(COLUMNS)));
        let width = self.at_most(rest, COLUMNS, "columns");
        (block, width)
    }

    fn at_most(&mut self, rest: C, most: i64, wish: &str) -> Dim {
        let full = C::atom(most.to_string());
        let value = C::conditional(C::binary(rest.clone(), "<", full.clone()), rest, full);
        self.index_variable(wish, value, &Dim::constant(most + 1))
    }

    /// Opens the loop over blocks of rows: the first of a block, how many it has, and how many at most.
    pub(super) fn row_blocks(&mut self, rows: &Dim, most: i64, is_shared: bool) -> (Dim, Dim, i64) {
        let known = rows.as_const();
        if let Some(rows) = known.filter(|rows| *rows <= most) {
            return (Dim::zero(), Dim::constant(rows), rows);
        }
        let bound = self.index(rows).text();
        if is_shared {
            self.shared_loop();
        }
        self.open("");
        let first = self.name("first");
        self.take_head(format!("for (int64_t {first} = 0; {first} < {bound}; {first} += {most})"));
        self.ranges.open(&Symbol::new(&first), rows.clone());
        let first = Dim::symbol(&first);
        if known.is_some_and(|rows| rows % most == 0) {
            return (first, Dim::constant(most), most);
        }
        let rest = self.index(&rows.sub(&first));
        let count = self.at_most(rest, most, "rows");
        (first, count, most)
    }

    /// The call that fills an array of sums.
    fn call_tile(
        &mut self,
        tiled: &Tiled<'a>,
        outer: &[Dim],
        (first, rows): (&Dim, &Dim),
        (column, width): (&Dim, &Dim),
        (array, sums, scratch): (&str, Option<&str>, Option<&str>),
    ) -> Outcome<()> {
        let Some((left, right)) = self.factors_at(tiled, outer)? else {
            return Err(self.refuse("lies in no known way"));
        };
        let x = self.pointer_to(left.operand, &left.first.add(&left.along.mul(first)));
        let (row, step) = (self.index(&left.along).text(), self.index(&left.term).text());
        let [n, k, rows, width, place] =
            [&tiled.columns, &tiled.terms, rows, width, column].map(|dim| self.index(dim).text());
        match (tiled.right, right) {
            (Right::Codes(codes, packing, _), _) => {
                let weight = self.packed(codes, packing);
                let family = packing.family();
                let mut arguments = vec![weight, n, k];
                if let Packing::Int4 { group, scale_bytes, zeros, .. } = packing {
                    arguments.extend([group.to_string(), scale_bytes.to_string(), u8::from(zeros).to_string()]);
                }
                arguments.extend([place, x, row]);
                let name = match sums.filter(|_| matches!(tiled.left, Left::Codes(..))) {
                    Some(sums) => {
                        let groups = match packing {
                            Packing::Int4 { k, group, .. } => k / group,
                            _ => 1,
                        };
                        let from = self.index(&first.scale(groups)).text();
                        arguments.push(if from == "0" { sums.to_string() } else { format!("{sums} + {from}") });
                        format!("{family}_tile")
                    }
                    None => format!("{family}_tile_f32"),
                };
                arguments.extend([rows, array.to_string()]);
                self.call_line(&name, &arguments);
            }
            (Right::Packed(weight, packing), _) => {
                let weight = self.packed(weight, packing);
                self.call_line("f32_tile", &[weight, n, k, place, x, row, step, rows, array.to_string()]);
            }
            (Right::Columns(_), Some(right)) => {
                self.family("f32");
                let from = self.pointer_to(right.operand, &right.first.add(column));
                let pitch = self.index(&right.term).text();
                self.call_line("f32_tile_direct", &[from, pitch, width, k, x, row, step, rows, array.to_string()]);
            }
            (Right::Rows(_), Some(right)) => {
                self.family("f32");
                if let Some(scratch) = scratch {
                    let arguments =
                        [scratch.to_string(), width, k, "0".to_string(), x, row, step, rows, array.to_string()];
                    self.call_line("f32_tile", &arguments);
                    return Ok(());
                }
                let from = self.pointer_to(right.operand, &right.first.add(&right.along.mul(column)));
                let stride = self.index(&right.along).text();
                let count = rows.parse::<i64>().unwrap_or(1);
                for i in 0..count {
                    let x =
                        self.pointer_to(left.operand, &left.first.add(&left.along.mul(&first.add(&Dim::constant(i)))));
                    let arguments =
                        [from.clone(), stride.clone(), width.clone(), k.clone(), x, format!("{array}[{i}]")];
                    self.call_line("f32_dots", &arguments);
                }
            }
            (Right::Columns(_) | Right::Rows(_), None) => return Err(self.refuse("lies in no known way")),
        }
        Ok(())
    }

    fn call_line(&mut self, name: &str, arguments: &[String]) {
        self.line(format!("{name}({});", arguments.join(", ")));
    }
}
