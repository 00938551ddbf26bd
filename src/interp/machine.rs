//! Runs functions, instruction by instruction.

use crate::base::code::{E0310, E0408, E0409, E0802};
use crate::interp::bind::bind_shapes;
use crate::interp::instance::join;
use crate::interp::value::{check_size, scalar, stacked};
use crate::interp::watch::{Product, Watch};
use crate::interp::{Env, Instance, RunError, Trace, broken, eval_expr, seed};
use crate::ir::{
    FuncId, Function, Inst, InstId, InstKind, Part, PathSegment, PrintPiece, Region, ValueId, Verified, Window,
};
use crate::ops::{Attrs, EvalCx, OpId};
use crate::types::display;
use crate::types::{HostExpr, HostValue, Symbol, Tensor};
use std::collections::HashMap;
use std::io::Write;

/// Calls within calls.
const MAX_DEPTH: usize = 1000;
/// Room for so many calls, each within a few regions; pages that are not touched cost nothing.
const STACK_SIZE: usize = 256 << 20;

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// What `rng` derives its seeds from.
    pub seed: u64,
    /// Keep every value that has a name in the source.
    pub record: bool,
}

/// Runs functions of a module; counts the turns of its random sites over all runs.
pub struct Machine<'m> {
    module: &'m Verified,
    options: RunOptions,
    output: Option<&'m mut (dyn Write + Send)>,
    turns: HashMap<(u32, String), u64>,
    depth: usize,
    /// Recorded values: `blocks.0.attn.q`, a second one of the same name as `...#2`.
    pub recorded: Vec<(String, Tensor)>,
    record_counts: HashMap<String, u64>,
    /// The seeds that `rng` gave, in order.
    pub seeds: Vec<i64>,
    /// Calls of sublayers, where somebody asks for them.
    pub trace: Option<Trace>,
    watch: Option<&'m mut dyn Watch>,
}

/// One call.
struct Frame<'m> {
    function: &'m Function,
    env: Env,
    values: Vec<Option<Tensor>>,
    /// Of the instance that runs, also within free functions.
    path: String,
}

/// What a call gives back: tensors, and values for the function's `fresh` symbols.
type Returned = (Vec<Tensor>, Vec<HostValue>);

impl Frame<'_> {
    fn get(&self, value: ValueId) -> Result<Tensor, RunError> {
        let tensor = self.values.get(value.0 as usize).cloned().flatten();
        tensor.ok_or_else(|| RunError::new(E0409, "a value is used before it is computed"))
    }

    fn all(&self, values: &[ValueId]) -> Result<Vec<Tensor>, RunError> {
        values.iter().map(|value| self.get(*value)).collect()
    }

    fn set(&mut self, value: ValueId, tensor: Tensor) {
        if let Some(slot) = self.values.get_mut(value.0 as usize) {
            *slot = Some(tensor);
        }
    }

    fn set_all(&mut self, values: &[ValueId], tensors: Vec<Tensor>) {
        values.iter().zip(tensors).for_each(|(value, tensor)| self.set(*value, tensor));
    }

    fn int(&self, value: ValueId) -> Result<i64, RunError> {
        let tensor = self.get(value)?;
        let first = tensor.as_i64().and_then(|values| values.first().copied());
        first.ok_or_else(|| RunError::new(E0409, "an int scalar is missing"))
    }
}

impl<'m> Machine<'m> {
    /// A machine that writes no output.
    pub fn new(module: &'m Verified, options: RunOptions) -> Machine<'m> {
        Machine {
            module,
            options,
            output: None,
            turns: HashMap::new(),
            depth: 0,
            recorded: vec![],
            record_counts: HashMap::new(),
            seeds: vec![],
            trace: None,
            watch: None,
        }
    }

    /// Where `print` writes.
    pub fn with_output(mut self, output: &'m mut (dyn Write + Send)) -> Machine<'m> {
        self.output = Some(output);
        self
    }

    /// Who is shown every product.
    pub fn with_watch(mut self, watch: &'m mut dyn Watch) -> Machine<'m> {
        self.watch = Some(watch);
        self
    }

    /// Runs a method of the instance, or a free function on its behalf.
    pub fn run(&mut self, instance: &mut Instance, func: FuncId, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.run_with(Some(instance), func, &[], inputs)
    }

    /// The same with values for symbols that shapes do not tell, and without an instance where the
    /// function is free.
    pub fn run_with(
        &mut self,
        instance: Option<&mut Instance>,
        func: FuncId,
        bindings: &[(Symbol, HostValue)],
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>, RunError> {
        let function: &'m Function = &self.module[func];
        if function.layer.is_some() && function.layer != instance.as_ref().map(|instance| instance.layer) {
            return Err(RunError::new(E0409, format!("`{}` is a method of another layer", function.name)));
        }
        let mut env = match (&instance, function.layer) {
            (Some(instance), Some(_)) => instance.hypers.clone(),
            _ => Env::new(),
        };
        let own = bindings.iter().filter(|(name, _)| function.symbols.iter().any(|(symbol, _)| symbol == name));
        env.extend(own.cloned());
        bind_shapes(function, &mut env, inputs)?;
        let path = instance.as_ref().map_or(String::new(), |instance| instance.path.clone());
        self.depth = 0;
        // Calls recur on the stack, and that of the caller's thread may be small.
        std::thread::scope(|scope| {
            let run = || self.call(function, instance, env, path, inputs.to_vec()).map(|(results, _)| results);
            let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, run);
            let thread = thread.map_err(|error| RunError::new(E0409, format!("no thread to run on: {error}")))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn call(
        &mut self,
        function: &'m Function,
        instance: Option<&mut Instance>,
        env: Env,
        path: String,
        inputs: Vec<Tensor>,
    ) -> Result<Returned, RunError> {
        if self.depth >= MAX_DEPTH {
            return Err(RunError::new(E0409, format!("calls nest deeper than {MAX_DEPTH}")).or_at(function.loc));
        }
        for (obligation, loc) in &function.obligations {
            if let Some(error) = broken(obligation, &env) {
                let error = error.of(&format!("`{}`", function.source_name));
                return Err(error.or_at(*loc).or_at(function.loc));
            }
        }
        let mut frame = Frame { function, env, values: vec![None; function.values.len()], path };
        frame.set_all(&function.params, inputs);
        self.depth += 1;
        let results = self.region(&mut frame, instance, &function.body);
        self.depth -= 1;
        let value = |symbol: &Symbol| {
            let value = frame.env.get(symbol).cloned();
            value.ok_or_else(|| RunError::new(E0310, format!("`{symbol}` has no value")))
        };
        Ok((results?, function.fresh.iter().map(value).collect::<Result<_, _>>()?))
    }

    /// Runs a region and gives what its terminator does.
    fn region(
        &mut self,
        frame: &mut Frame<'m>,
        mut instance: Option<&mut Instance>,
        region: &'m Region,
    ) -> Result<Vec<Tensor>, RunError> {
        for id in &region.insts {
            let inst = self.inst_of(frame, *id);
            if matches!(inst.kind, InstKind::Yield | InstKind::Return) {
                return frame.all(&inst.operands);
            }
            if self.watch.is_some() {
                self.show(frame, *id, inst)?;
            }
            let results = self.inst(frame, instance.as_deref_mut(), inst).map_err(|error| error.or_at(inst.loc))?;
            frame.set_all(&inst.results, results);
            if self.options.record {
                self.record(frame, inst)?;
            }
        }
        Ok(vec![])
    }

    fn inst_of(&self, frame: &Frame<'m>, id: InstId) -> &'m Inst {
        let function: &'m Function = frame.function;
        &function[id]
    }

    fn inst(
        &mut self,
        frame: &mut Frame<'m>,
        instance: Option<&mut Instance>,
        inst: &'m Inst,
    ) -> Result<Vec<Tensor>, RunError> {
        match &inst.kind {
            InstKind::Op { op, attrs } => self.op(frame, inst, *op, attrs),
            InstKind::Param { name, part } => self.param(own(instance)?, name, *part),
            InstKind::Const(tensor) => Ok(vec![tensor.clone()]),
            InstKind::Host(expr) => self.host(frame, inst, expr),
            InstKind::Rng { site, part } => {
                let path = if part.is_empty() { frame.path.clone() } else { join(&frame.path, part) };
                let turn = self.turns.entry((*site, path.clone())).or_insert(0);
                let seed = seed::of_site(self.options.seed, *site, &path, *turn);
                *turn += 1;
                self.seeds.push(seed as i64);
                Ok(vec![Tensor::scalar_i64(seed as i64)])
            }
            InstKind::Call { func, bindings, path, fresh } => {
                let (results, sizes) = self.inner_call(frame, instance, inst, *func, bindings, path.as_deref())?;
                frame.env.extend(fresh.iter().cloned().zip(sizes));
                Ok(results)
            }
            InstKind::If { then, otherwise } => {
                let [condition] = inst.operands.as_slice() else { return Ok(vec![]) };
                let region = if frame.int(*condition)? != 0 { then } else { otherwise };
                self.region(frame, instance, region)
            }
            InstKind::For { index, body } => self.for_loop(frame, instance, inst, index, body),
            InstKind::While { .. } => self.while_loop(frame, instance, inst),
            InstKind::Fused { body } => {
                let operands = frame.all(&inst.operands)?;
                frame.set_all(&body.params, operands);
                self.region(frame, instance, body)
            }
            InstKind::Gradient { .. } => {
                Err(RunError::new(E0409, "internal error: autodiff has not run; please report it"))
            }
            InstKind::SetState { name } => {
                let [value] = inst.operands.as_slice() else { return Ok(vec![]) };
                let tensor = frame.get(*value)?;
                own(instance)?.write_member(name, tensor)?;
                Ok(vec![])
            }
            InstKind::SetSlice { name, windows } => self.set_slice(frame, instance, inst, name, windows),
            InstKind::Assert { message } => {
                let [condition] = inst.operands.as_slice() else { return Ok(vec![]) };
                if frame.int(*condition)? == 0 {
                    return Err(RunError::new(E0408, message.clone()));
                }
                Ok(vec![])
            }
            InstKind::Ensure(obligation) => match broken(obligation, &frame.env) {
                Some(error) => Err(error),
                None => Ok(vec![]),
            },
            InstKind::Print { pieces } => self.print(frame, inst, pieces),
            InstKind::Yield | InstKind::Return => Ok(vec![]),
        }
    }

    fn op(&mut self, frame: &Frame<'m>, inst: &Inst, op: OpId, attrs: &Attrs) -> Result<Vec<Tensor>, RunError> {
        let operands = frame.all(&inst.operands)?;
        let attrs = attrs.map(|attr| attr.resolve(&|symbol| frame.env.get(symbol).cloned()));
        for result in &inst.results {
            check_size(&frame.function[*result].ty, &frame.env)?;
        }
        let op = op.get();
        let cx = EvalCx { op, operands: &operands, attrs: &attrs };
        (op.eval)(&cx).map_err(|error| RunError::new(E0409, error.0))
    }

    /// Shows a product to who watches.
    fn show(&mut self, frame: &Frame<'m>, id: InstId, inst: &Inst) -> Result<(), RunError> {
        let (Some(watch), InstKind::Op { op, attrs }) = (&mut self.watch, &inst.kind) else { return Ok(()) };
        if !op.is_product() {
            return Ok(());
        }
        let attrs = attrs.map(|attr| attr.resolve(&|symbol| frame.env.get(symbol).cloned()));
        let operands = frame.all(&inst.operands)?;
        watch.product(&Product {
            function: frame.function,
            inst: id,
            path: &frame.path,
            op: *op,
            attrs: &attrs,
            operands: &operands,
            env: &frame.env,
        })
    }

    /// Reads a member; one that is computed of weights is so now, if it was not before.
    fn param(&mut self, instance: &mut Instance, name: &str, part: Part) -> Result<Vec<Tensor>, RunError> {
        if let Some((holder, func)) = instance.underived(name)? {
            let function: &'m Function = &self.module[func];
            let (env, path) = (holder.hypers.clone(), holder.path.clone());
            let (results, _) = self.call(function, Some(holder), env, path, vec![])?;
            let tensor = results.first().ok_or_else(|| RunError::new(E0409, format!("`{name}` has no value")))?;
            holder.keep_derived(func, tensor);
        }
        Ok(vec![instance.read_member(name, part)?])
    }

    fn host(&self, frame: &Frame<'m>, inst: &Inst, expr: &HostExpr) -> Result<Vec<Tensor>, RunError> {
        let [result] = inst.results.as_slice() else { return Ok(vec![]) };
        let value = eval_expr(expr, &frame.env);
        let value = value.ok_or_else(|| RunError::new(E0310, format!("`{expr}` has no value")))?;
        Ok(vec![scalar(frame.function.dtype(*result), &value)])
    }

    fn inner_call(
        &mut self,
        frame: &Frame<'m>,
        instance: Option<&mut Instance>,
        inst: &Inst,
        func: FuncId,
        bindings: &[(Symbol, HostExpr)],
        path: Option<&[PathSegment]>,
    ) -> Result<Returned, RunError> {
        let function: &'m Function = &self.module[func];
        let inputs = frame.all(&inst.operands)?;
        let mut bound = Env::new();
        for (name, expr) in bindings {
            let value = eval_expr(expr, &frame.env);
            let value = value.ok_or_else(|| RunError::new(E0310, format!("`{name} = {expr}` has no value")))?;
            bound.insert(name.clone(), value);
        }
        let Some(path) = path else {
            // A free function draws its random numbers as the instance that called it.
            return self.call(function, None, bound, frame.path.clone(), inputs);
        };
        let callee = own(instance)?.at(path, &frame.env)?;
        bound.extend(callee.hypers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let (path, layer) = (callee.path.clone(), callee.layer);
        // A method of one's own is a part of the call that is under way.
        if self.trace.is_none() || path == frame.path {
            return self.call(function, Some(callee), bound, path, inputs);
        }
        if let Some(trace) = &mut self.trace {
            trace.enter(&path, layer, &function.source_name, &inputs);
        }
        let returned = self.call(function, Some(callee), bound, path, inputs)?;
        if let Some(trace) = &mut self.trace {
            trace.leave(&returned.0);
        }
        Ok(returned)
    }

    fn for_loop(
        &mut self,
        frame: &mut Frame<'m>,
        mut instance: Option<&mut Instance>,
        inst: &'m Inst,
        index: &Symbol,
        body: &'m Region,
    ) -> Result<Vec<Tensor>, RunError> {
        let ([start, stop, initial @ ..], [counter, params @ ..]) = (inst.operands.as_slice(), body.params.as_slice())
        else {
            return Ok(vec![]);
        };
        let (start, stop) = (frame.int(*start)?, frame.int(*stop)?);
        let mut carried = frame.all(initial)?;
        let mut collected: Vec<Vec<Tensor>> = vec![vec![]; inst.results.len().saturating_sub(initial.len())];
        for turn in start..stop {
            frame.env.insert(index.clone(), HostValue::Int(turn));
            frame.set(*counter, Tensor::scalar_i64(turn));
            frame.set_all(params, carried);
            let mut yielded = self.region(frame, instance.as_deref_mut(), body)?;
            let ends = yielded.split_off(initial.len().min(yielded.len()));
            collected.iter_mut().zip(ends).for_each(|(turns, tensor)| turns.push(tensor));
            carried = yielded;
        }
        frame.env.remove(index);
        self.stack_turns(frame, inst, carried, &collected)
    }

    /// The results of a loop: what it carried, and stacks of what it collected.
    fn stack_turns(
        &self,
        frame: &Frame<'m>,
        inst: &Inst,
        mut carried: Vec<Tensor>,
        collected: &[Vec<Tensor>],
    ) -> Result<Vec<Tensor>, RunError> {
        let stacks = inst.results.get(carried.len()..).unwrap_or_default();
        for (turns, result) in collected.iter().zip(stacks) {
            carried.push(stacked(turns, &frame.function[*result].ty, &frame.env)?);
        }
        Ok(carried)
    }

    fn while_loop(
        &mut self,
        frame: &mut Frame<'m>,
        mut instance: Option<&mut Instance>,
        inst: &'m Inst,
    ) -> Result<Vec<Tensor>, RunError> {
        let InstKind::While { turns, cond, body } = &inst.kind else { return Ok(vec![]) };
        let mut carried = frame.all(&inst.operands)?;
        let mut collected: Vec<Vec<Tensor>> = vec![vec![]; inst.results.len().saturating_sub(carried.len())];
        let mut count = 0;
        loop {
            frame.env.extend(turns.iter().map(|turns| (turns.clone(), HostValue::Int(count))));
            frame.set_all(&cond.params, carried.clone());
            let condition = self.region(frame, instance.as_deref_mut(), cond)?;
            let goes_on = condition.first().and_then(|tensor| tensor.as_i64()?.first().copied());
            if goes_on != Some(1) {
                return self.stack_turns(frame, inst, carried, &collected);
            }
            frame.set_all(&body.params, carried);
            carried = self.region(frame, instance.as_deref_mut(), body)?;
            let ends = carried.split_off(inst.operands.len().min(carried.len()));
            collected.iter_mut().zip(ends).for_each(|(turns, tensor)| turns.push(tensor));
            count += 1;
        }
    }

    /// Writes into the state's own memory where nothing else holds it.
    fn set_slice(
        &mut self,
        frame: &mut Frame<'m>,
        instance: Option<&mut Instance>,
        inst: &'m Inst,
        name: &str,
        windows: &[Window],
    ) -> Result<Vec<Tensor>, RunError> {
        let [value, starts @ ..] = inst.operands.as_slice() else { return Ok(vec![]) };
        let value = frame.get(*value)?;
        let starts = starts.iter().map(|start| frame.int(*start)).collect::<Result<Vec<i64>, RunError>>()?;
        // The frame's own reads of the state are done with where nothing later uses them; a tensor that is
        // still shared is copied once.
        own(instance)?.write_slice(name, &value, windows, &starts)?;
        Ok(vec![])
    }

    fn print(&mut self, frame: &Frame<'m>, inst: &Inst, pieces: &[PrintPiece]) -> Result<Vec<Tensor>, RunError> {
        let mut operands = frame.all(&inst.operands)?.into_iter();
        let parts: Vec<String> = pieces
            .iter()
            .filter_map(|piece| match piece {
                PrintPiece::Text(text) => Some(text.clone()),
                PrintPiece::Operand => operands.next().map(|tensor| display::show(&tensor)),
            })
            .collect();
        if let Some(output) = &mut self.output {
            let written = writeln!(output, "{}", parts.join(" "));
            written.map_err(|error| RunError::new(E0802, format!("the output cannot be written: {error}")))?;
        }
        Ok(vec![])
    }

    /// Keeps the results that have names. Free functions and methods other than `forward` put theirs in.
    fn record(&mut self, frame: &Frame<'m>, inst: &Inst) -> Result<(), RunError> {
        for result in &inst.results {
            let Some(name) = &frame.function[*result].name else { continue };
            let function = frame.function.source_name.as_str();
            let scope = if function == "forward" { None } else { Some(function) };
            let parts: Vec<&str> = [Some(frame.path.as_str()), scope, Some(name)]
                .into_iter()
                .flatten()
                .filter(|p| !p.is_empty())
                .collect();
            let mut key = parts.join(".");
            let count = self.record_counts.entry(key.clone()).or_insert(0);
            *count += 1;
            if *count > 1 {
                key = format!("{key}#{count}");
            }
            self.recorded.push((key, frame.get(*result)?));
        }
        Ok(())
    }
}

/// The instance of a method that runs.
fn own(instance: Option<&mut Instance>) -> Result<&mut Instance, RunError> {
    instance.ok_or_else(|| RunError::new(E0409, "a free function has no members"))
}
