/**
 * Where learning curves end: the loss of a trial at the last rung, predicted from
 * its losses so far and from the curves of all trials, with an uncertainty.
 *
 * At each rung the final loss is taken to be linear in the loss there and in its
 * change since the rung below, and the error normal. The lines are fitted from
 * the last rung backwards: to the final losses of the trials that have one, and
 * for the others that went on from the rung to what the lines of higher rungs
 * predict for them, each weighted by how certain that is. Which trial goes on is
 * decided by what is known of it, so that the others are missing does not bias a
 * line (Rubin, "Inference and missing data", Biometrika 63, 1976).
 *
 * Each line is a conjugate Bayesian regression drawn towards what the steps from
 * rung to rung give one after the other, and each step towards the one below it:
 * so there is a prediction, if a vague one, before any trial has gone far. The
 * freeze-thaw idea is that of Swersky, Snoek and Adams ("Freeze-thaw Bayesian
 * optimization", 2014); the model is another, since theirs is cubic in the trials.
 */

/** The losses that are known of a study's trials. */
export interface Curves {
  /** How many rungs there are. */
  readonly rungs: number
  /** Trials in rows, rungs in columns; finite up to the rung that a trial has `reached`, and not read beyond it. */
  readonly losses: Float64Array
  /** The highest rung that each trial has finished without failing; -1 for none. It has finished all below it. */
  readonly reached: Int32Array
}

export interface Prediction {
  readonly mean: number
  readonly variance: number
}

export interface LearningCurve {
  /** The final loss of a trial that came to `loss` at `rung` by `change` since the rung below (0 at the lowest). */
  readonly final: (rung: number, loss: number, change: number) => Prediction
  /** The loss to be expected at the rung above. */
  readonly next: (rung: number, loss: number) => number
}

/** How many trials' worth of belief there is in the line that a fit is drawn towards, and in its error. */
const priorTrials = 3

/** Keeps sums of squares off zero, relative to a variance. */
const ridge = 1e-6

/** A variance where all losses are alike, so that nothing says what is small. */
const tiny = 1e-12

/** Of all losses at all rungs together. */
const overallVariance = ({ losses, reached, rungs }: Curves): number => {
  let count = 0, mean = 0, squares = 0
  for (let trial = 0; trial < reached.length; trial++) {
    for (let rung = 0; rung <= reached[trial]!; rung++) {
      const distance = losses[trial * rungs + rung]! - mean
      mean += distance / ++count
      squares += distance * (losses[trial * rungs + rung]! - mean)
    }
  }
  return squares > 0 ? squares / count : tiny
}

/** What a trial's loss changed by on its way to `rung`: 0 at the lowest. */
export const change = ({ losses, rungs }: Curves, trial: number, rung: number): number =>
  rung > 0 ? losses[trial * rungs + rung]! - losses[trial * rungs + rung - 1]! : 0

/** Steps from each rung to the one above: change = `drift` + `slope` (loss - `center`) + error. */
interface Steps {
  readonly center: Float64Array
  readonly drift: Float64Array
  readonly slope: Float64Array
  readonly variance: Float64Array
}

const stepsOf = (curves: Curves): Steps => {
  const { losses, reached, rungs } = curves
  const least = ridge * overallVariance(curves)
  const center = new Float64Array(rungs), drift = new Float64Array(rungs)
  const slope = new Float64Array(rungs), variance = new Float64Array(rungs)
  const trials = reached.length
  for (let rung = 0; rung < rungs - 1; rung++) {
    let there = 0, went = 0, sumThere = 0, sumWent = 0
    for (let trial = 0; trial < trials; trial++) {
      if (reached[trial]! < rung) continue
      const loss = losses[trial * rungs + rung]!
      there++
      sumThere += loss
      if (reached[trial] === rung) continue
      went++
      sumWent += loss
    }
    const middle = went > 0
      ? sumWent / went
      : there > 0
      ? sumThere / there
      : rung > 0
      ? center[rung - 1]! + drift[rung - 1]!
      : 0
    let spread = 0, sum = 0, sxx = 0, sxy = 0
    for (let trial = 0; trial < trials; trial++) {
      if (reached[trial]! < rung) continue
      const x = losses[trial * rungs + rung]! - middle
      spread += x * x
      if (reached[trial] === rung) continue
      const y = losses[trial * rungs + rung + 1]! - losses[trial * rungs + rung]!
      sum += y
      sxx += x * x
      sxy += x * y
    }
    if (there > 0) spread /= there
    // The step before, or at the lowest rung no drift and the spread of the trials.
    const expected = rung > 0 ? drift[rung - 1]! : 0
    const error = rung > 0 ? variance[rung - 1]! : Math.max(spread, least)
    const precision = priorTrials * spread + ridge * error
    const a = (priorTrials * expected + sum) / (priorTrials + went), b = sxy / (precision + sxx)
    let squares = priorTrials * error + priorTrials * (a - expected) ** 2 + precision * b * b
    for (let trial = 0; trial < trials; trial++) {
      if (reached[trial]! <= rung) continue
      const loss = losses[trial * rungs + rung]!
      squares += (losses[trial * rungs + rung + 1]! - loss - a - b * (loss - middle)) ** 2
    }
    center[rung] = middle
    drift[rung] = a
    slope[rung] = b
    variance[rung] = squares / (priorTrials + went)
  }
  return { center, drift, slope, variance }
}

/** final = `level` + `byLoss` x + `byChange` z + error, with x and z the distances of loss and change from their centers. */
interface Line {
  readonly center: number
  readonly centerOfChange: number
  readonly level: number
  readonly byLoss: number
  readonly byChange: number
  readonly variance: number
  /** The uncertainty of the coefficients, in units of `variance`: of the level, and the matrix of the two slopes. */
  readonly ofLevel: number
  readonly xx: number
  readonly xz: number
  readonly zz: number
}

const predict = (line: Line, loss: number, change: number): Prediction => {
  const x = loss - line.center, z = change - line.centerOfChange
  return {
    mean: line.level + line.byLoss * x + line.byChange * z,
    variance: line.variance * (1 + line.ofLevel + line.xx * x * x + 2 * line.xz * x * z + line.zz * z * z)
  }
}

/** At the last rung the final loss is known. */
const known: Line = {
  center: 0,
  centerOfChange: 0,
  level: 0,
  byLoss: 1,
  byChange: 0,
  variance: 0,
  ofLevel: 0,
  xx: 0,
  xz: 0,
  zz: 0
}

/** Takes time in proportion to trials x rungs. */
export const fit = (curves: Curves): LearningCurve => {
  const { losses, reached, rungs } = curves
  const trials = reached.length
  const steps = stepsOf(curves)
  const lines: Array<Line> = Array.from({ length: rungs })
  lines[rungs - 1] = known
  // What each trial's line says of its end.
  const mean = new Float64Array(trials), variance = new Float64Array(trials), weight = new Float64Array(trials)
  for (let rung = rungs - 1; rung >= 0; rung--) {
    if (rung < rungs - 1) lines[rung] = lineAt(curves, steps, rung, lines[rung + 1]!, mean, variance, weight)
    for (let trial = 0; trial < trials; trial++) {
      if (reached[trial] !== rung) continue
      const end = predict(lines[rung]!, losses[trial * rungs + rung]!, change(curves, trial, rung))
      mean[trial] = end.mean
      variance[trial] = end.variance
    }
  }
  return {
    final: (rung, loss, change) => predict(lines[rung]!, loss, change),
    next: (rung, loss) => loss + steps.drift[rung]! + steps.slope[rung]! * (loss - steps.center[rung]!)
  }
}

const lineAt = (
  curves: Curves,
  steps: Steps,
  rung: number,
  above: Line,
  mean: Float64Array,
  variance: Float64Array,
  weight: Float64Array
): Line => {
  const { losses, reached, rungs } = curves
  const trials = reached.length
  const origin = steps.center[rung]!, drift = steps.drift[rung]!, slope = steps.slope[rung]!
  // The step to the rung above, then its line: what this one is drawn towards.
  const after = predict(above, origin + drift, drift)
  const priorSlope = above.byLoss * (1 + slope) + above.byChange * slope
  const priorVariance = (above.byLoss + above.byChange) ** 2 * steps.variance[rung]! + after.variance

  let there = 0, meanChange = 0, sum = 0, sumX = 0, sumZ = 0
  for (let trial = 0; trial < trials; trial++) {
    if (reached[trial]! < rung) continue
    const z = change(curves, trial, rung)
    there++
    meanChange += z
    if (reached[trial] === rung) continue
    const w = priorVariance / (priorVariance + variance[trial]!)
    weight[trial] = w
    sum += w
    sumX += w * (losses[trial * rungs + rung]! - origin)
    sumZ += w * z
  }
  const center = origin + (sum > 0 ? sumX / sum : 0)
  const centerOfChange = sum > 0
    ? sumZ / sum
    : there > 0
    ? meanChange / there
    : rung > 0
    ? steps.drift[rung - 1]!
    : 0
  const priorLevel = after.mean + priorSlope * (center - origin)

  let spreadX = 0, spreadZ = 0, sumT = 0, xx = 0, xz = 0, zz = 0, xu = 0, zu = 0
  for (let trial = 0; trial < trials; trial++) {
    if (reached[trial]! < rung) continue
    const x = losses[trial * rungs + rung]! - center, z = change(curves, trial, rung) - centerOfChange
    spreadX += x * x
    spreadZ += z * z
    if (reached[trial] === rung) continue
    const w = weight[trial]!, t = mean[trial]! - priorLevel, u = t - priorSlope * x
    sumT += w * t
    xx += w * x * x
    xz += w * x * z
    zz += w * z * z
    xu += w * x * u
    zu += w * z * u
  }
  const share = there > 0 ? priorTrials / there : 0
  const precisionX = share * spreadX + ridge * priorVariance, precisionZ = share * spreadZ + ridge * priorVariance
  xx += precisionX
  zz += precisionZ
  // There is no change at the lowest rung.
  const changes = rung > 0
  const determinant = changes ? xx * zz - xz * xz : xx
  const shift = sumT / (priorTrials + sum)
  const turn = (changes ? xu * zz - zu * xz : xu) / determinant
  const byChange = changes ? (zu * xx - xu * xz) / determinant : 0
  const level = priorLevel + shift, byLoss = priorSlope + turn

  let squares = priorTrials * (priorVariance + shift * shift) + precisionX * turn * turn +
    precisionZ * byChange * byChange
  for (let trial = 0; trial < trials; trial++) {
    if (reached[trial]! <= rung) continue
    const x = losses[trial * rungs + rung]! - center, z = change(curves, trial, rung) - centerOfChange
    squares += weight[trial]! * ((mean[trial]! - level - byLoss * x - byChange * z) ** 2 + variance[trial]!)
  }
  return {
    center,
    centerOfChange,
    level,
    byLoss,
    byChange,
    variance: squares / (priorTrials + sum),
    ofLevel: 1 / (priorTrials + sum),
    xx: (changes ? zz : 1) / determinant,
    xz: changes ? -xz / determinant : 0,
    zz: changes ? xx / determinant : 0
  }
}
