/**
 * Dates in the format of C's and Python's `strftime`, as templates ask for them.
 */

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December"
]

const digits = (value: number, width: number): string => String(value).padStart(width, "0")

/** Hours of a clock with twelve of them. */
const clock = (hours: number): number => hours % 12 === 0 ? 12 : hours % 12

const dayOfYear = (date: Date): number =>
  Math.floor(
    (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate())
      - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000
  ) + 1

const directive = (date: Date, letter: string, unpadded: boolean): string | undefined => {
  const number = (value: number, width: number) => digits(value, unpadded ? 1 : width)
  switch (letter) {
    case "%":
      return "%"
    case "Y":
      return digits(date.getUTCFullYear(), 4)
    case "y":
      return number(date.getUTCFullYear() % 100, 2)
    case "m":
      return number(date.getUTCMonth() + 1, 2)
    case "B":
      return months[date.getUTCMonth()]
    case "b":
      return months[date.getUTCMonth()]!.slice(0, 3)
    case "d":
      return number(date.getUTCDate(), 2)
    case "j":
      return number(dayOfYear(date), 3)
    case "A":
      return days[date.getUTCDay()]
    case "a":
      return days[date.getUTCDay()]!.slice(0, 3)
    case "H":
      return number(date.getUTCHours(), 2)
    case "I":
      return number(clock(date.getUTCHours()), 2)
    case "p":
      return date.getUTCHours() < 12 ? "AM" : "PM"
    case "M":
      return number(date.getUTCMinutes(), 2)
    case "S":
      return number(date.getUTCSeconds(), 2)
    default:
      return undefined
  }
}

/**
 * A date in UTC with English names. Throws where the format has a directive
 * that is not one of `%Y %y %m %B %b %d %j %A %a %H %I %p %M %S %%`, with `-`
 * after the `%` for numbers without zeros in front.
 */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%(-?)(.?)/gs, (whole, minus: string, letter: string) => {
    const text = directive(date, letter, minus !== "")
    if (text === undefined) throw new Error(`it asks for a date with ${whole}, which is not known`)
    return text
  })
